//===- Inverse.h - the stored bits behind a definition ----------------------------------------------------------===//
#pragma once

#include "quantc/Format/Decode.h"
#include <map>

namespace quantc {

/// Finds, for a definition that is a function of one field of a block (a trit as a digit of a byte), the least bits
/// with which the definition takes the wanted integers in all weights that read the same element of the field.
class InverseDefinition {
public:
  static Result<InverseDefinition> compile(const Format &format, const Definition &definition, Position position);
  const Field &field() const { return *target; }

  /// Block `block` of the fields from one wanted integer for each of its weights. False: no bits give them.
  bool run(FieldValues &fields, size_t block, const float *wanted) const;

private:
  /// Weights of a block that read one element, and the bits by the definition's values in them.
  struct Element {
    std::vector<size_t> weights;
    std::map<std::vector<int64_t>, uint64_t> bits;
  };
  const Field *target = nullptr;
  std::vector<Element> elements;
};

} // namespace quantc
