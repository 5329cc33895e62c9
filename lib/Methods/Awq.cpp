//===- Awq.cpp - input scales and clipping that protect the weights of large inputs -----------------------------===//

#include "quantc/Methods/Awq.h"
#include "LinearAlgebra.h"
#include "quantc/Encode/Encode.h"
#include "quantc/Support/Parallel.h"
#include <algorithm>
#include <cmath>
#include <optional>

using namespace quantc;

/// The columns that share a scale: the widest cells within a row; all where cells are wider.
static int64_t groupColumns(const Format &format, int64_t K) {
  int64_t columns = 1;
  for (const Field &f : format.fields())
    if (f.rows == 1 && f.columns > 0 && (!f.flat || K % f.columns == 0))
      columns = std::max(columns, f.columns);
  return columns == 1 ? K : std::min(columns, K);
}

static Status checkStatistics(const InputStatistics &statistics, int64_t K) {
  if (statistics.K != K)
    return fail("the statistics have {} features, the weight has {} columns", statistics.K, K);
  return checkHessian(statistics);
}

static Result<std::vector<float>> rounded(const Format &format, std::span<const float> w, int64_t N, int64_t K) {
  QUANTC_ASSIGN(const FieldValues fields, encode(format, w, N, K));
  std::vector<float> values(w.size());
  QUANTC_TRY(decode(format, fields, N, K, values.data()));
  return values;
}

//===--- Scales -------------------------------------------------------------------------------------------------===//

/// Rows of a linear that are read together.
static constexpr int64_t windowRows = 64;

/// Mean over the rows of all linears of |w| / (largest |w| of its group + 1e-6).
static Result<std::vector<double>> meanWeights(std::span<const AwqLinear> linears, int64_t K) {
  std::vector<double> sums(K);
  std::vector<float> window;
  int64_t rows = 0;
  for (const AwqLinear &linear : linears) {
    const int64_t group = groupColumns(*linear.format, K);
    rows += linear.N;
    for (int64_t n = 0; n < linear.N; n++) {
      if (n % windowRows == 0) {
        const int64_t count = std::min(windowRows, linear.N - n);
        window.resize(count * K);
        QUANTC_TRY(linear.read(n, count, window.data()));
      }
      for (int64_t begin = 0; begin < K; begin += group) {
        const auto part = std::span(window).subspan(n % windowRows * K + begin, std::min(group, K - begin));
        float largest = 0;
        for (float v : part)
          largest = std::max(largest, std::fabs(v));
        for (size_t c = 0; c < part.size(); c++)
          sums[begin + c] += std::fabs(part[c]) / (double(largest) + 1e-6);
      }
    }
  }
  for (double &v : sums)
    v /= static_cast<double>(rows);
  return sums;
}

/// `weights`: empty for scales that look at the inputs alone.
static std::vector<float> scalesFor(double ratio, std::span<const float> inputs, std::span<const double> weights) {
  std::vector<double> s(inputs.size());
  for (size_t k = 0; k < s.size(); k++) {
    s[k] = std::pow(double(inputs[k]), ratio);
    if (!weights.empty())
      s[k] /= std::pow(weights[k], 1 - ratio) + 1e-4;
    s[k] = std::max(s[k], 1e-4);
  }
  const auto [low, high] = std::ranges::minmax(s);
  const double middle = std::sqrt(low * high);
  std::vector<float> scales;
  for (double v : s) {
    const auto scale = static_cast<float>(v / middle);
    scales.push_back(std::isfinite(scale) && scale > 0 ? scale : 1.0f);
  }
  return scales;
}

namespace {
/// The rows of a linear that judge.
struct Sample {
  const Format *format;
  int64_t rows;
  double weight; ///< rows of the linear for each
  std::vector<float> w;
};
} // namespace

static Result<Sample> sampleOf(const AwqLinear &linear, int64_t K, int64_t most) {
  const int64_t rows = std::min(linear.N, most);
  Sample sample{linear.format, rows, double(linear.N) / double(rows), std::vector<float>(rows * K)};
  for (int64_t r = 0; r < rows; r++)
    QUANTC_TRY(linear.read(r * linear.N / rows, 1, sample.w.data() + r * K));
  return sample;
}

static Result<double> errorWith(std::span<const float> scales, const Sample &sample, int64_t K,
                                std::span<const float> hessian, const AwqRounding &rounding) {
  std::vector<float> x = sample.w;
  for (size_t i = 0; i < x.size(); i++)
    x[i] *= scales[i % K];
  QUANTC_ASSIGN(std::vector<float> d, rounding(*sample.format, x, sample.rows, K));
  for (size_t i = 0; i < d.size(); i++)
    d[i] = d[i] / scales[i % K] - sample.w[i];
  std::vector<float> product(d.size());
  linear::multiply(product.data(), d.data(), K, hessian.data(), K, sample.rows, K, K);
  double total = 0;
  for (size_t i = 0; i < d.size(); i++)
    total += double(d[i]) * product[i];
  return total * sample.weight;
}

Result<AwqScales> quantc::awqScales(std::span<const AwqLinear> linears, int64_t K, const InputStatistics &statistics,
                                    const AwqOptions &options, unsigned threads) {
  QUANTC_TRY(checkStatistics(statistics, K));
  if (static_cast<int64_t>(statistics.meanAbs.size()) != K)
    return fail("the statistics have no mean magnitudes of {} features: calibrate with them", K);
  if (linears.empty() || options.steps < 1 || options.rows < 1)
    return fail("no linear, exponent or row to choose scales by");
  if (!options.judge.empty() && static_cast<int64_t>(options.judge.size()) / K != K)
    return fail("the Hessian that judges has {} numbers, not {} x {}", options.judge.size(), K, K);
  std::vector<Sample> samples;
  for (const AwqLinear &linear : linears) {
    if (linear.N < 1)
      return fail("a weight has {} rows", linear.N);
    QUANTC_ASSIGN(Sample sample, sampleOf(linear, K, options.rowsOf(K)));
    samples.push_back(std::move(sample));
  }

  // The first candidate leaves the weights as they are.
  std::vector<std::vector<float>> candidates = {std::vector<float>(K, 1.0f)};
  std::vector<double> ratios = {0};
  auto addCandidates = [&](std::span<const double> weights) {
    for (int step = 0; step < options.steps; step++) {
      ratios.push_back(double(step) / options.steps);
      candidates.push_back(scalesFor(ratios.back(), statistics.meanAbs, weights));
    }
  };
  if (options.form != AwqScaleForm::Inputs) {
    QUANTC_ASSIGN(const std::vector<double> weights, meanWeights(linears, K));
    addCandidates(weights);
  }
  if (options.form != AwqScaleForm::InputsAndWeights)
    addCandidates({});
  const std::span<const float> hessian = options.judge.empty() ? std::span(statistics.hessian) : options.judge;
  std::vector<std::optional<Result<double>>> errors(candidates.size() * samples.size());
  auto judge = [&](size_t i, const AwqRounding &rounding) {
    errors[i] = errorWith(candidates[i / samples.size()], samples[i % samples.size()], K, hessian, rounding);
  };
  if (!options.rounding)
    parallelFor(errors.size(), threads, [&](size_t i) { judge(i, rounded); });
  // What others know of divided inputs is larger than the Hessian: there is memory for one.
  for (size_t c = 0; options.rounding && c < candidates.size(); c++) {
    const InputStatistics divided = dividedInputs(statistics, candidates[c], options.memory);
    QUANTC_ASSIGN(const AwqRounding rounding, options.rounding(divided));
    parallelFor(samples.size(), threads, [&](size_t s) { judge(c * samples.size() + s, rounding); });
  }

  AwqScales best;
  for (size_t c = 0; c < candidates.size(); c++) {
    double total = 0;
    for (size_t s = 0; s < samples.size(); s++) {
      QUANTC_ASSIGN(const double error, *errors[c * samples.size() + s]);
      total += error;
    }
    if (c == 0)
      best.errorBefore = total;
    if (c == 0 || total < best.error) {
      best.error = total;
      best.ratio = ratios[c];
      best.scales = candidates[c];
    }
  }
  return best;
}

//===--- Clipping -----------------------------------------------------------------------------------------------===//

/// Clips rows of a weight of their own.
static Status clipRows(const Format &format, std::span<float> w, int64_t N, int64_t K, std::span<const float> hessian,
                       const AwqOptions &options) {
  const int64_t group = groupColumns(format, K), groups = (K + group - 1) / group;
  std::vector<float> largest(N * groups), best(N * groups), x(w.size()), product(N * std::min(group, K));
  std::vector<double> least(N * groups, INFINITY);
  auto cellOf = [&](size_t i) { return int64_t(i) / K * groups + int64_t(i) % K / group; };
  for (size_t i = 0; i < w.size(); i++)
    largest[cellOf(i)] = std::max(largest[cellOf(i)], std::fabs(w[i]));
  for (int step = 0; step < std::max(1, options.steps / 2); step++) {
    const float part = static_cast<float>(1 - double(step) / options.steps);
    for (size_t i = 0; i < w.size(); i++) {
      const float limit = largest[cellOf(i)] * part;
      x[i] = std::clamp(w[i], -limit, limit);
    }
    QUANTC_ASSIGN(std::vector<float> d, rounded(format, x, N, K));
    for (size_t i = 0; i < d.size(); i++)
      d[i] -= w[i];
    for (int64_t g = 0; g < groups; g++) {
      const int64_t begin = g * group, columns = std::min(group, K - begin);
      linear::multiply(product.data(), d.data() + begin, K, hessian.data() + begin * K + begin, K, N, columns, columns);
      for (int64_t n = 0; n < N; n++) {
        double error = 0;
        for (int64_t c = 0; c < columns; c++)
          error += double(d[n * K + begin + c]) * product[n * columns + c];
        if (error < least[n * groups + g]) {
          least[n * groups + g] = error;
          best[n * groups + g] = largest[n * groups + g] * part;
        }
      }
    }
  }
  for (size_t i = 0; i < w.size(); i++)
    w[i] = std::clamp(w[i], -best[cellOf(i)], best[cellOf(i)]);
  return {};
}

Status quantc::awqClip(const Format &format, std::span<float> w, int64_t N, int64_t K,
                       const InputStatistics &statistics, const AwqOptions &options, unsigned threads) {
  QUANTC_TRY(checkStatistics(statistics, K));
  if (N < 1 || static_cast<int64_t>(w.size()) != N * K || options.steps < 1)
    return fail("a weight of {} x {} does not have {} numbers", N, K, w.size());
  // Rows can be taken apart where no number holds for all of them.
  QUANTC_ASSIGN(const EncodePlan plan, planEncode(format, N, K, false));
  const int64_t rows = plan.passes == 1 ? plan.tileRows : N;
  std::vector<Status> results((N + rows - 1) / rows);
  parallelFor(results.size(), threads, [&](size_t tile) {
    const int64_t row = int64_t(tile) * rows, count = std::min(rows, N - row);
    results[tile] = clipRows(format, w.subspan(row * K, count * K), count, K, statistics.hessian, options);
  });
  for (const Status &result : results)
    QUANTC_TRY(result);
  return {};
}

InputStatistics quantc::dividedInputs(const InputStatistics &statistics, std::span<const float> scales,
                                      std::pmr::memory_resource *memory) {
  const size_t K = scales.size();
  InputStatistics divided{.K = statistics.K,
                          .tokens = statistics.tokens,
                          .hessian = std::pmr::vector<float>(statistics.hessian, memory),
                          .meanAbs = statistics.meanAbs,
                          .meanSquare = statistics.meanSquare,
                          .maxAbs = statistics.maxAbs};
  for (size_t i = 0; i < divided.hessian.size(); i++)
    divided.hessian[i] = static_cast<float>(divided.hessian[i] / (double(scales[i / K]) * scales[i % K]));
  for (std::vector<float> *v : {&divided.meanAbs, &divided.maxAbs})
    for (size_t k = 0; k < v->size(); k++)
      (*v)[k] /= scales[k];
  for (size_t k = 0; k < divided.meanSquare.size(); k++)
    divided.meanSquare[k] = static_cast<float>(divided.meanSquare[k] / (double(scales[k]) * scales[k]));
  return divided;
}
