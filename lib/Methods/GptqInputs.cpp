//===- GptqInputs.cpp - the order of columns, and the factored Hessian ------------------------------------------===//

#include "GptqInputs.h"
#include "LinearAlgebra.h"
#include <algorithm>
#include <cmath>
#include <numeric>

using namespace quantc;

Status quantc::checkHessian(const InputStatistics &statistics) {
  const auto K = static_cast<size_t>(statistics.K);
  if (statistics.hessian.empty())
    return fail("the statistics have no Hessian: calibrate with it");
  if (statistics.K < 1 || statistics.hessian.size() / K != K || statistics.hessian.size() % K != 0)
    return fail("a Hessian of {} features does not have {} numbers", K, statistics.hessian.size());
  for (size_t i = 0; i < statistics.hessian.size(); i++)
    if (!std::isfinite(statistics.hessian[i]))
      return fail("the Hessian is {} at row {}, column {}: the calibration saw inputs that are no numbers",
                  statistics.hessian[i], i / K, i % K);
  for (size_t k = 0; k < K; k++)
    if (statistics.hessian[k * K + k] < 0)
      return fail("the Hessian is {} at row {}, column {}: the mean of a square is not negative",
                  statistics.hessian[k * K + k], k, k);
  return {};
}

/// Damps and factors the Hessian of places.
static Status factorHessian(GptqInputs &inputs, std::span<const float> hessian, double leastDamp, unsigned threads) {
  const auto K = static_cast<size_t>(inputs.K);
  std::vector<double> diagonal(K);
  for (size_t j = 0; j < K; j++)
    diagonal[j] = inputs.dead[j] ? 1 : hessian[inputs.source[j] * (K + 1)];
  const double mean = std::accumulate(diagonal.begin(), diagonal.end(), 0.0) / static_cast<double>(K);
  const double largest = *std::ranges::max_element(diagonal);
  inputs.factor.resize(K * K);
  auto attempt = [&](double damp, double floor) {
    for (size_t i = 0; i < K; i++) {
      const float *row = hessian.data() + inputs.source[i] * K;
      for (size_t j = 0; j < K; j++)
        inputs.factor[i * K + j] = row[inputs.source[j]];
      const double damped = std::max(diagonal[i] + damp * mean, floor);
      inputs.damping[i] = damped - (inputs.dead[i] ? 0 : diagonal[i]);
      inputs.factor[i * (K + 1)] = damped;
    }
    if (linear::factorInverse(inputs.factor.data(), inputs.K, threads))
      return true;
    inputs.retries++;
    return false;
  };
  for (int step = 0; leastDamp + 0.01 * step < 1; step++) {
    inputs.damp = leastDamp + 0.01 * step;
    if (attempt(inputs.damp, 0))
      return {};
  }
  for (double floor = 1e-6 * largest; floor <= 0.1 * largest; floor *= 10)
    if (attempt(inputs.damp, floor))
      return {};
  return fail("the Hessian is not positive definite, with a damping of {:.2f} neither: calibrate with more tokens",
              inputs.damp);
}

/// The damped Hessian over the columns of the fields.
static void setDampedHessian(GptqInputs &p, std::span<const float> hessian) {
  const auto K = static_cast<size_t>(p.K);
  p.hessian.resize(K * K);
  for (size_t i = 0; i < K; i++) {
    float *row = p.hessian.data() + p.column[i] * K;
    for (size_t j = 0; j < K; j++)
      row[p.column[j]] = hessian[p.source[i] * K + p.source[j]];
    row[p.column[i]] += static_cast<float>(p.damping[i]);
  }
}

Result<GptqInputsRef> quantc::gptqInputs(const InputStatistics &statistics, const GptqOptions &options,
                                         unsigned threads, std::pmr::memory_resource *memory) {
  if (!(options.damp >= 0 && options.damp < 1))
    return fail("a damping of {} is not in [0, 1)", options.damp);
  QUANTC_TRY(checkHessian(statistics));
  const std::span<const float> H = statistics.hessian;
  auto inputs = std::make_shared<GptqInputs>(memory);
  const int64_t K = inputs->K = statistics.K;
  inputs->source.resize(K);
  std::iota(inputs->source.begin(), inputs->source.end(), 0);
  inputs->column = inputs->source;
  if (options.actOrder)
    std::ranges::sort(inputs->source, {}, [&](int32_t k) { return std::pair(-H[k * (K + 1)], k); });
  if (options.staticGroups)
    inputs->column = inputs->source;
  const bool moved = options.actOrder && !options.staticGroups;
  for (int64_t j = 0; j < K; j++)
    inputs->dead.push_back(H[inputs->source[j] * (K + 1)] == 0);
  inputs->damping.resize(K);
  if (options.grid != GptqGrid::Range)
    for (int64_t k = 0; k < K; k++)
      inputs->importance.push_back(options.grid == GptqGrid::Mse ? 1 : H[(moved ? inputs->source[k] : k) * (K + 1)]);
  QUANTC_TRY(factorHessian(*inputs, H, options.damp, threads));
  if (options.refit)
    setDampedHessian(*inputs, H);
  return inputs;
}
