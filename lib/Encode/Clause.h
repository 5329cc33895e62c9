//===- Clause.h - an encode clause, ready to run ----------------------------------------------------------------===//
#pragma once

#include "Inverse.h"
#include "Nearest.h"
#include "SearchStep.h"
#include <map>
#include <set>

namespace quantc {

/// What a step gives a value to.
struct StepResult {
  std::string name;
  const Field *field = nullptr;             ///< null: a temporary or a definition
  std::optional<InverseDefinition> inverse; ///< a definition
  bool absent = false;                      ///< a field that the parameters leave out
};

/// What is tried for a field: least, …, most in so many steps; floats are multiplied with it, integers increased by it.
struct ScaleCandidates {
  float least = 1, most = 1;
  int steps = 0;
};

struct ClauseStep {
  const EncodeStep *source = nullptr;
  enum Kind { Expression, Search, Nearest, Refit, ScaleSearch, DynamicMap } kind = Expression;
  std::vector<StepResult> results;
  Scope scope; ///< cells of the (first) result
  std::optional<BoundSearch> search;
  std::optional<NearestCode> nearest; ///< ScaleSearch: that of the step that comes later
  std::optional<NearestDefinition> nearestDefinition;
  const Field *refit = nullptr; ///< Refit: the scale field that is fitted
  ScaleCandidates candidates;   ///< ScaleSearch
  /// The pass over the weight after which (a step over all rows) or in which (others) the result is known.
  unsigned pass = 0;
  /// Passes before the last in which the step must run, because a step over all rows needs its result.
  std::set<unsigned> alsoIn;
  bool overAllRows() const { return kind == Expression && scope.crossesTiles(); }
};

/// A clause bound to a shape.
struct Clause {
  /// Fails as planEncode does.
  static Result<Clause> compile(const Format &format, int64_t N, int64_t K, bool importance);

  const Format *format = nullptr;
  int64_t N = 0, K = 0;
  bool importance = false; ///< the clause uses `im`
  std::map<std::string, int64_t> integers;
  std::vector<ClauseStep> steps;
  int64_t rowUnit = 1; ///< tiles have a multiple of so many rows
  int64_t tileRows = 1;
  unsigned passes = 1;

private:
  Status addStep(const EncodeStep &source);
  Status addScaleSearch(ClauseStep &step) const;
  Status shareNearest();
  Result<Scope> scopeOf(const ScopeDecl &declared) const;
  void planPasses();
  void planTiles();
};

} // namespace quantc
