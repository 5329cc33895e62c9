//===- WeightsPlan.h - memory, disk and time of the methods -----------------------------------------------------===//
#pragma once

#include "QuantizeWeights.h"
#include "quantc/Driver/QuantizePlan.h"
#include "quantc/Pipelines/Pipelines.h"

namespace quantc {

/// `lengths`: tokens of the calibration sequences that the model will read; empty where it reads none. Fails where
/// `choices.memoryBudget` is too small.
Result<QuantizePlan> planWeights(const MethodInput &input, const MethodChoices &choices,
                                 llvm::ArrayRef<std::string> methods, llvm::ArrayRef<int64_t> lengths);

} // namespace quantc
