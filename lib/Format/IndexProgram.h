//===- IndexProgram.h - integer expressions of a layout's loops -------------------------------------------------===//
#pragma once

#include "quantc/Format/Format.h"
#include <span>

namespace quantc {

/// What a layout is read with: a whole block (N, K = 0), or a weight N x K in a container.
struct LayoutContext {
  const Format &format;
  const std::string &file; ///< for errors
  int64_t N = 0, K = 0;
  unsigned wordBits = 0; ///< width of a constant; 0: constants are not allowed
  std::map<std::string, int64_t> environment = {};
  std::vector<std::string> variables = {}; ///< loops around the layout: slots 0, 1 ...

  bool inContainer() const { return N > 0; }
};

/// An integer expression over slots (loop variables), as postfix code.
class IndexProgram {
public:
  using Slots = std::map<std::string, size_t>;
  static Result<IndexProgram> compile(const LayoutContext &context, const Slots &slots, const ExprPtr &e);

  int64_t run(const int64_t *slots) const;
  /// By how much the value grows with one slot, where that is the same everywhere.
  std::optional<int64_t> stepOf(size_t slot) const;

private:
  struct Step {
    enum { Number, Slot, Unary, Binary, Select } kind;
    int64_t value = 0;
    Operator op{};
  };
  Status add(const LayoutContext &context, const Slots &slots, const ExprPtr &e, size_t height);
  std::vector<Step> code;
};

} // namespace quantc
