//===- FieldCodes.h - numbers as the bits of fields -------------------------------------------------------------===//
#pragma once

#include "quantc/Format/Arithmetic.h"
#include <vector>

namespace quantc {

/// The numbers of a float kind of at most 8 bits, to which others are rounded: the nearest, halves to even bits, beyond
/// the largest saturated, the sign kept also of 0.
class SmallFloat {
public:
  SmallFloat(FieldKind kind, unsigned width);
  uint64_t bitsFor(float v) const;

private:
  struct Number {
    float value;
    uint64_t bits;
  };
  std::vector<Number> numbers; ///< not negative, ascending
  uint64_t signBit = 0;        ///< 0: no negative numbers
};

/// Rounds to what a field stores: floats to nearest even, integers truncated and clamped. NaN gives the integer 0.
class FieldRounding {
public:
  explicit FieldRounding(const Field &field);
  uint64_t bitsFor(float v) const;
  /// The number that the bits stand for.
  float numberFor(uint64_t bits) const {
    return isInteger(kind) ? static_cast<float>(integerFromBits(kind, width, bits)) : fromBits(kind, bits);
  }

private:
  FieldKind kind;
  unsigned width;
  double least = 0, end = 0;     ///< of integers: [least, end)
  std::vector<SmallFloat> small; ///< one, for kinds that need it
};

} // namespace quantc
