//===- Evaluator.h - expressions of encode clauses --------------------------------------------------------------===//
#pragma once

#include "Scope.h"
#include "quantc/Support/Result.h"
#include <map>
#include <string>

namespace quantc {

using Environment = std::map<std::string, Value, std::less<>>;

/// Evaluates expressions over the names of an environment, integer parameters, and constants of fields that the
/// parameters leave out. All numbers are f32.
class Evaluator {
public:
  Evaluator(const Format &format, const Region &region, const std::map<std::string, int64_t> &integers,
            const Environment &names)
      : format(format), region(region), integers(integers), names(names) {}

  /// `target`: what aggregates reduce to.
  Result<Value> evaluate(const Expr &e, const Scope &target) const;
  /// An expression of parameters only.
  Result<float> constant(const Expr &e) const;

  /// Results of aggregates over all rows, by the calls that ask for them.
  std::map<const Expr *, Value> aggregates;

private:
  Result<Value> name(const Expr &e) const;
  Result<Value> call(const Expr &e, const Scope &target) const;
  template <typename Function> Value apply(const Value &a, Function f) const;
  template <typename Function> Value apply(const Value &a, const Value &b, Function f) const;

  const Format &format;
  const Region &region;
  const std::map<std::string, int64_t> &integers;
  const Environment &names;
};

} // namespace quantc
