//===- BudgetCost.h - what the measurements of a budget read ----------------------------------------------------===//
#pragma once

#include "quantc/Driver/Budget.h"

namespace quantc {

/// So many sequences, evenly over the text, that they have the tokens that are wanted.
Result<std::vector<std::vector<int32_t>>> measuredSequences(const BudgetOptions &options, mlir::ModuleOp graph);

} // namespace quantc
