//===- Gptq.cpp - error feedback by the inputs' second moments --------------------------------------------------===//

#include "quantc/Methods/Gptq.h"
#include "GptqTile.h"
#include "LinearAlgebra.h"
#include "quantc/Support/Parallel.h"
#include <algorithm>
#include <atomic>
#include <cmath>
#include <numeric>
#include <optional>

using namespace quantc;

/// Rows of a tile, about: with these, a block of columns stays in the second-level cache.
static constexpr int64_t tileRows = 128;

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

static Status checkArguments(const GptqOptions &options, std::span<const float> w, int64_t N, int64_t K,
                             const InputStatistics &statistics) {
  if (N < 1 || K < 1 || static_cast<int64_t>(w.size()) / K != N || w.size() % static_cast<size_t>(K) != 0)
    return fail("a weight of {} x {} does not have {} numbers", N, K, w.size());
  if (statistics.K != K)
    return fail("the statistics have {} features, the weight has {} columns", statistics.K, K);
  if (!(options.damp >= 0 && options.damp < 1))
    return fail("a damping of {} is not in [0, 1)", options.damp);
  if (options.block < 1)
    return fail("a block of {} columns: take at least 1", options.block);
  for (size_t i = 0; i < w.size(); i++)
    if (!std::isfinite(w[i]))
      return fail("row {}, column {}: the weight is {}", int64_t(i) / K, int64_t(i) % K, w[i]);
  return checkHessian(statistics);
}

/// Damps and factors the Hessian of the problem's places.
static Status factorHessian(GptqProblem &problem, const std::vector<float> &hessian, GptqResult &result) {
  const auto K = static_cast<size_t>(problem.K);
  std::vector<double> diagonal(K);
  for (size_t j = 0; j < K; j++)
    diagonal[j] = problem.dead[j] ? 1 : hessian[problem.source[j] * (K + 1)];
  const double mean = std::accumulate(diagonal.begin(), diagonal.end(), 0.0) / static_cast<double>(K);
  const double largest = *std::ranges::max_element(diagonal);
  problem.factor.resize(K * K);
  auto attempt = [&](double damp, double floor) {
    for (size_t i = 0; i < K; i++) {
      const float *row = hessian.data() + problem.source[i] * K;
      for (size_t j = 0; j < K; j++)
        problem.factor[i * K + j] = row[problem.source[j]];
      const double damped = std::max(diagonal[i] + damp * mean, floor);
      problem.damping[i] = damped - (problem.dead[i] ? 0 : diagonal[i]);
      problem.factor[i * (K + 1)] = damped;
    }
    if (linear::factorInverse(problem.factor.data(), problem.K))
      return true;
    result.retries++;
    return false;
  };
  for (int step = 0; problem.options.damp + 0.01 * step < 1; step++) {
    result.damp = problem.options.damp + 0.01 * step;
    if (attempt(result.damp, 0))
      return {};
  }
  for (double floor = 1e-6 * largest; floor <= 0.1 * largest; floor *= 10)
    if (attempt(result.damp, floor))
      return {};
  return fail("the Hessian is not positive definite, with a damping of {:.2f} neither: calibrate with more tokens",
              result.damp);
}

/// The order of columns, and what follows from it.
static GptqProblem makeProblem(const Format &format, const ColumnEncoder &encoder, std::span<const float> w, int64_t N,
                               int64_t K, const InputStatistics &statistics, const GptqOptions &options) {
  const std::vector<float> &H = statistics.hessian;
  GptqProblem p{format, encoder, w, N, K, options};
  p.fieldsKnown = options.staticGroups || encoder.fieldColumns() == 0;
  p.source.resize(K);
  std::iota(p.source.begin(), p.source.end(), 0);
  p.column = p.source;
  if (options.actOrder)
    std::ranges::sort(p.source, {}, [&](int32_t k) { return std::pair(-H[k * (K + 1)], k); });
  if (options.staticGroups)
    p.column = p.source;
  const bool moved = options.actOrder && !options.staticGroups;
  p.dead.resize(K);
  for (int64_t j = 0; j < K; j++)
    p.dead[j] = H[p.source[j] * (K + 1)] == 0;
  p.damping.resize(K);
  if (options.importance)
    for (int64_t k = 0; k < K; k++)
      p.importance.push_back(H[(moved ? p.source[k] : k) * (K + 1)]);
  return p;
}

/// The damped Hessian over the columns of the fields.
static std::vector<float> dampedHessian(const GptqProblem &p, const std::vector<float> &hessian) {
  const size_t K = static_cast<size_t>(p.K);
  std::vector<float> result(K * K);
  for (size_t i = 0; i < K; i++) {
    float *row = result.data() + p.column[i] * K;
    for (size_t j = 0; j < K; j++)
      row[p.column[j]] = hessian[p.source[i] * K + p.source[j]];
    row[p.column[i]] += static_cast<float>(p.damping[i]);
  }
  return result;
}

/// All fields from the weights as they are, but for those whose input is always 0.
static Result<FieldValues> staticFields(const GptqProblem &p) {
  std::vector<float> x(p.w.size());
  for (int64_t place = 0; place < p.K; place++)
    if (!p.dead[place])
      for (int64_t n = 0; n < p.N; n++)
        x[n * p.K + p.column[place]] = p.w[n * p.K + p.source[place]];
  return encode(p.format, x, p.N, p.K, p.importance);
}

Result<GptqResult> quantc::gptq(const Format &format, std::span<const float> w, int64_t N, int64_t K,
                                const InputStatistics &statistics, const GptqOptions &options, unsigned threads) {
  QUANTC_TRY(checkArguments(options, w, N, K, statistics));
  QUANTC_ASSIGN(const ColumnEncoder encoder, ColumnEncoder::create(format, N, K, options.importance));
  GptqProblem problem = makeProblem(format, encoder, w, N, K, statistics, options);
  GptqResult result;
  QUANTC_TRY(factorHessian(problem, statistics.hessian, result));
  if (options.refit)
    problem.hessian = dampedHessian(problem, statistics.hessian);
  // Wider fields are those of the original weights even where others follow the updates.
  if (problem.fieldsKnown || encoder.hasWiderFields()) {
    QUANTC_ASSIGN(result.fields, staticFields(problem));
  } else {
    result.fields = zeroFields(format, N, K);
  }

  const int64_t unit = problem.fieldsKnown ? 1 : encoder.rowUnit();
  const int64_t step = std::min(N, (tileRows + unit - 1) / unit * unit);
  const auto tiles = static_cast<size_t>((N + step - 1) / step);
  std::vector<std::optional<Result<double>>> errors(tiles);
  parallelFor(tiles, threads, [&](size_t tile) {
    const int64_t row = int64_t(tile) * step;
    errors[tile] = GptqTile(problem, result.fields, row, std::min(step, N - row)).run();
  });
  for (const auto &error : errors) {
    QUANTC_ASSIGN(const double value, *error);
    result.error += value;
  }
  if (options.actOrder && !options.staticGroups)
    result.order = problem.source;
  return result;
}

double quantc::outputError(std::span<const float> w, std::span<const float> approximation, int64_t N, int64_t K,
                           std::span<const float> hessian) {
  double total = 0;
  std::vector<double> difference;
  for (int64_t row = 0; row < N; row += tileRows) {
    const int64_t rows = std::min(tileRows, N - row);
    difference.resize(rows * K);
    for (int64_t i = 0; i < rows * K; i++)
      difference[i] = double(approximation[row * K + i]) - w[row * K + i];
    total += linear::quadraticForm(difference.data(), hessian.data(), rows, K);
  }
  return total;
}
