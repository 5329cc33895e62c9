//===- InputStatistics.h - what is known of the inputs of a linear ----------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <cstdint>
#include <memory_resource>
#include <vector>

namespace quantc {

/// Of the inputs x of a linear with K features, taken over calibration tokens.
struct InputStatistics {
  int64_t K = 0;
  uint64_t tokens = 0;
  std::pmr::vector<float> hessian;                ///< K x K, mean of x xT, row-major, symmetric; may be empty
  std::vector<float> meanAbs, meanSquare, maxAbs; ///< K each, may be empty
};

/// Whether the Hessian is there and finite, with a diagonal that is not negative.
Status checkHessian(const InputStatistics &statistics);

} // namespace quantc
