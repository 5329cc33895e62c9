//===- SearchStep.h - steps that call a named search ------------------------------------------------------------===//
#pragma once

#include "Clause.h"
#include "Evaluator.h"

namespace quantc {

bool isSearch(std::string_view name);
/// Fails where the search is not available, or its constants are wrong.
Status checkSearch(const Format &format, const ClauseStep &step);

/// What a search gives: numbers for each cell of the step's scope, and perhaps codes at the scope of its argument.
struct SearchResults {
  std::vector<Value> values; ///< one for each result of the step
};
Result<SearchResults> runSearch(const Format &format, const Region &region, const Evaluator &evaluator, const ClauseStep &step);

} // namespace quantc
