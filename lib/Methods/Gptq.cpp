//===- Gptq.cpp - error feedback by the inputs' second moments --------------------------------------------------===//

#include "quantc/Methods/Gptq.h"
#include "GptqTile.h"
#include "LinearAlgebra.h"
#include "quantc/Support/Parallel.h"
#include <algorithm>
#include <cmath>
#include <optional>

using namespace quantc;

/// Rows of a tile, about: with these, a block of columns stays in the second-level cache.
static constexpr int64_t tileRows = 128;

static Status checkArguments(const GptqOptions &options, std::span<const float> w, int64_t N, int64_t K,
                             const GptqInputs &inputs) {
  if (N < 1 || K < 1 || static_cast<int64_t>(w.size()) / K != N || w.size() % static_cast<size_t>(K) != 0)
    return fail("a weight of {} x {} does not have {} numbers", N, K, w.size());
  if (inputs.K != K)
    return fail("the statistics have {} features, the weight has {} columns", inputs.K, K);
  if (options.block < 1)
    return fail("a block of {} columns: take at least 1", options.block);
  for (size_t i = 0; i < w.size(); i++)
    if (!std::isfinite(w[i]))
      return fail("row {}, column {}: the weight is {}", int64_t(i) / K, int64_t(i) % K, w[i]);
  return {};
}

/// All fields from the weights as they are, but for those whose input is always 0.
static Result<FieldValues> staticFields(const GptqProblem &p) {
  std::vector<float> x(p.w.size());
  for (int64_t place = 0; place < p.K; place++)
    if (!p.inputs.dead[place])
      for (int64_t n = 0; n < p.N; n++)
        x[n * p.K + p.inputs.column[place]] = p.w[n * p.K + p.inputs.source[place]];
  return encode(p.format, x, p.N, p.K, p.inputs.importance);
}

Result<GptqResult> quantc::gptq(const Format &format, std::span<const float> w, int64_t N, int64_t K,
                                const InputStatistics &statistics, const GptqOptions &options, unsigned threads) {
  if (statistics.K != K)
    return fail("the statistics have {} features, the weight has {} columns", statistics.K, K);
  QUANTC_ASSIGN(const GptqInputsRef inputs, gptqInputs(statistics, options, threads));
  return gptq(format, w, N, K, *inputs, options, threads);
}

Result<GptqResult> quantc::gptq(const Format &format, std::span<const float> w, int64_t N, int64_t K,
                                const GptqInputs &inputs, const GptqOptions &options, unsigned threads) {
  QUANTC_TRY(checkArguments(options, w, N, K, inputs));
  QUANTC_ASSIGN(const ColumnEncoder encoder, ColumnEncoder::create(format, N, K, options.grid != GptqGrid::Range));
  const GptqProblem problem{.format = format,
                            .encoder = encoder,
                            .w = w,
                            .N = N,
                            .K = K,
                            .options = options,
                            .inputs = inputs,
                            .fieldsKnown = options.staticGroups || encoder.fieldColumns() == 0};
  GptqResult result{.damp = inputs.damp, .retries = inputs.retries};
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
    result.order = inputs.source;
  return result;
}

void quantc::restoreColumns(std::span<const int32_t> order, std::span<float> values) {
  const size_t K = order.size();
  std::vector<float> row(K);
  for (size_t begin = 0; K && begin < values.size(); begin += K) {
    std::copy_n(values.data() + begin, K, row.data());
    for (size_t j = 0; j < K; j++)
      values[begin + order[j]] = row[j];
  }
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
