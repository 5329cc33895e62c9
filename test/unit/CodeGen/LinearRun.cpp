//===- LinearRun.cpp - the kernels of a matrix product at work, and what they should give -----------------------===//

#include "LinearRun.h"
#include <algorithm>

using namespace quantc;
using namespace quantc::test;

static constexpr float canary = 12345.0f;

static int64_t address(const std::vector<float> &v) {
  return reinterpret_cast<int64_t>(v.data());
}

int64_t quantc::test::activationBytes(int64_t K) {
  return (K + 255) / 256 * (256 * 6 + 256 / 16 * 4);
}

std::vector<float> LinearRun::run(const std::vector<float> &x, int64_t M, int64_t step) const {
  int64_t input = address(x);
  AlignedBytes codes(weights.activations.empty() ? 0 : activationBytes(linear.K) * M);
  if (!weights.activations.empty()) {
    int64_t args[] = {input, M, codes.address(), M};
    kernels.runAll("encode", args);
    input = codes.address();
  }
  std::vector<float> y((M + 1) * linear.N, canary), residual(M * linear.N, 0.5f);
  std::vector<int64_t> args = {input, M, weights.packed.address()};
  if (linear.residual)
    args.insert(args.end(), {address(residual), M});
  args.insert(args.end(), {address(y), M});
  const int64_t tasks = kernels.tasks("linear", args);
  for (int64_t first = (tasks - 1) / step * step; first >= 0; first -= step)
    kernels.run("linear", args, first, std::min(first + step, tasks));
  if (!std::all_of(y.begin() + M * linear.N, y.end(), [](float v) { return v == canary; }))
    return {};
  y.resize(M * linear.N);
  return y;
}

std::vector<float> quantc::test::exactProduct(const std::vector<float> &x, const std::vector<float> &w, int64_t M,
                                              int64_t N, int64_t K) {
  std::vector<float> y(M * N);
  for (int64_t m = 0; m < M; m++)
    for (int64_t n = 0; n < N; n++) {
      float sum = 0;
      for (int64_t k = 0; k < K; k++) {
        const float product = w[n * K + k] * x[m * K + k];
        sum += product;
      }
      y[m * N + n] = sum;
    }
  return y;
}

std::vector<double> quantc::test::activationsOf(const LinearWeights &weights, const std::vector<float> &x, int64_t M,
                                                int64_t K) {
  std::vector<double> values(x.begin(), x.begin() + M * K);
  if (weights.activations.empty())
    return values;
  if (weights.hasHalfActivations()) {
    std::transform(x.begin(), x.begin() + M * K, values.begin(), nearestHalf);
    return values;
  }
  const ReferenceActivations codes(x, M, K, std::stoll(weights.activations.substr(weights.activations.find(":g") + 2)));
  for (int64_t m = 0; m < M; m++)
    for (int64_t k = 0; k < K; k++)
      values[m * K + k] = codes.value(m, k);
  return values;
}
