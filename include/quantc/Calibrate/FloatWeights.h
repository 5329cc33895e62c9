//===- FloatWeights.h - f32 weights as the kernels of calibration read them --------------------------------------===//
#pragma once

#include "quantc/Methods/StatisticsSource.h"
#include "quantc/Transforms/WeightStore.h"
#include <span>

namespace quantc {

/// Bytes of a weight of a FloatProgram; `blockRows`: of kernel storage.
Result<uint64_t> floatWeightBytes(nn::WeightOp weight, unsigned blockRows);

/// Writes the values that `read` gives, in the storage that kernels read.
Status writeFloatWeight(nn::WeightOp weight, unsigned blockRows, unsigned threads, const ReadRows &read,
                        std::span<std::byte> place);

} // namespace quantc
