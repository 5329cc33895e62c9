//===- BenchKernels.h - times of kernels on a GPU -----------------------------------------------------------------===//
#pragma once

#include "Cublas.h"
#include "LinearKernel.h"

namespace quantc::gpu {

/// What a kernel is measured with.
struct Bench {
  std::shared_ptr<const cuda::Device> device;
  const cuda::WorkStream &stream;
  const Cublas *cublas; ///< null: not there
  double copyBandwidth; ///< bytes per second
  uint64_t rotated;     ///< bytes of the weights that are read in turn: more than caches hold
  int rounds;           ///< medians are taken
};

/// A row of the results: `seconds` of one product, `bandwidth` (weights, activations and results once) in bytes per
/// second and its share of a copy's, `flops` per second, and where cuBLAS is there and tokens are many its `cublas`
/// seconds for f16 weights. Launches are played as a graph, so that the host takes no part.
Result<nlohmann::ordered_json> timeKernel(const Bench &bench, const LinearKernel &kernel, const StripWeight &weight,
                                          int64_t tokens);

} // namespace quantc::gpu
