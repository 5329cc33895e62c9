//===- LinearRun.h - the kernels of a matrix product at work, and what they should give -------------------------===//
#pragma once

#include "LinearKernel.h"

namespace quantc::test {

/// One case, compiled for one target. Refers to the case and its weights.
class LinearRun {
public:
  LinearRun(const LinearCase &linear, const LinearWeights &weights, CompiledKernels kernels)
      : linear(linear), weights(weights), kernels(std::move(kernels)) {}

  /// y for the M tokens of `x`, run in ranges of `step` tasks, last range first. The residual is 0.5 everywhere. Empty
  /// where a kernel wrote past the end.
  std::vector<float> run(const std::vector<float> &x, int64_t M, int64_t step = 1 << 20) const;

private:
  const LinearCase &linear;
  const LinearWeights &weights;
  CompiledKernels kernels;
};

/// Bytes of a token's activations, whatever their format: at most 6 for each column of whole groups of 256, and sums.
int64_t activationBytes(int64_t K);

/// f32, multiply then add, k ascending.
std::vector<float> exactProduct(const std::vector<float> &x, const std::vector<float> &w, int64_t M, int64_t N,
                                int64_t K);

/// M x K: the activations that fast kernels multiply with: those of the codes where they take codes, else x.
std::vector<double> activationsOf(const LinearWeights &weights, const std::vector<float> &x, int64_t M, int64_t K);

} // namespace quantc::test
