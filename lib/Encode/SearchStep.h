//===- SearchStep.h - steps that call a named search ------------------------------------------------------------===//
#pragma once

#include "Evaluator.h"
#include "quantc/Encode/Searches.h"
#include <functional>
#include <span>

namespace quantc {

/// How many numbers a search gives for a cell of n numbers: `perCell`, or one for each `span` of them.
struct ResultShape {
  size_t perCell = 0, span = 0;
  size_t count(size_t n) const { return perCell ? perCell : n / span; }
};

/// A search with its constants.
struct BoundSearch {
  bool weighted;                   ///< takes `w`
  std::vector<ResultShape> shapes; ///< of the results, in order
  /// Writes results to `out`, null where one is not wanted.
  std::function<void(const search::Cells &in, std::span<float *const> out)> run;
};

bool isSearch(std::string_view name);
/// Evaluates the constants of a call. Fails where the search is not available, or a constant is missing or out of
/// range.
Result<BoundSearch> bindSearch(const Format &format, const Evaluator &evaluator, const Expr &call);
/// The values of the first `results` results for the cells of `scope`.
Result<std::vector<Value>> runSearch(const Format &format, const Region &region, const Evaluator &evaluator,
                                     const BoundSearch &bound, const Expr &call, const Scope &scope, size_t results);

} // namespace quantc
