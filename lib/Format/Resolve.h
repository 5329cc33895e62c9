//===- Resolve.h - expressions of a bound format ----------------------------------------------------------------===//
#pragma once

#include "quantc/Format/Format.h"
#include <set>

namespace quantc {

/// The value of an expression over integers and parameters only. Fails with "expected a constant integer".
Result<int64_t> constantOf(const Format &format, const ExprPtr &e, const std::map<std::string, int64_t> &environment);

/// A declared field with the parameters of the format, whether these leave it out or not; its index is not set.
Result<Field> bindField(const Format &format, const FieldDecl &declaration);

/// Replaces defined names by their expressions, folds what parameters decide, and checks names, types and index ranges.
class Resolver {
public:
  explicit Resolver(const Format &format) : format(format) {}
  Result<ExprPtr> resolve(const ExprPtr &e);
  Interval rangeOf(const Expr &e) const;

  std::map<std::string, int64_t> bounds; ///< counts of the sums around
  std::set<std::string> used;            ///< names that were looked up

private:
  Result<ExprPtr> resolveName(const ExprPtr &e);
  Result<ExprPtr> checkIndices(const ExprPtr &name, const std::vector<int64_t> &extents);
  Status checkTypes(const Expr &e) const;
  Status checkExact(const ExprPtr &integer) const;
  Status checkDivisor(const ExprPtr &divisor) const;
  /// The interval of an expression of `i` alone, by trying every weight of a block; nothing once that was done too
  /// often.
  std::optional<Interval> enumerated(const ExprPtr &e);

  const Format &format;
  int depth = 0, size = 0;
  int64_t enumeration = 0; ///< work done by `enumerated`: parts of expressions times weights
};

} // namespace quantc
