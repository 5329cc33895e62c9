//===- TestLayers.cpp - layers that the tests of methods share --------------------------------------------------===//

#include "TestLayers.h"
#include "quantc/Encode/Encode.h"
#include <algorithm>
#include <cmath>
#include <random>

namespace quantc::test {

/// `x`: tokens x K.
static InputStatistics statisticsOf(const std::vector<double> &x, int64_t tokens, int64_t K) {
  InputStatistics s;
  s.K = K;
  s.tokens = tokens;
  std::vector<double> sums(K * K), magnitudes(K);
  for (int64_t t = 0; t < tokens; t++)
    for (int64_t i = 0; i < K; i++) {
      magnitudes[i] += std::fabs(x[t * K + i]);
      for (int64_t j = 0; j < K; j++)
        sums[i * K + j] += x[t * K + i] * x[t * K + j];
    }
  for (double v : sums)
    s.hessian.push_back(static_cast<float>(v / static_cast<double>(tokens)));
  for (double v : magnitudes)
    s.meanAbs.push_back(static_cast<float>(v / static_cast<double>(tokens)));
  return s;
}

ReadRows rowsOf(std::span<const float> w, int64_t K) {
  return [=](int64_t row, int64_t count, float *out) -> Status {
    std::ranges::copy(w.subspan(row * K, count * K), out);
    return {};
  };
}

const Layer &oracleLayer() {
  static const Layer layer = [] {
    constexpr int64_t N = 8, K = 192, tokens = 512;
    uint32_t state = 0x12345678;
    auto draw = [&] {
      int sum = -8190;
      for (int i = 0; i < 4; i++) {
        state = state * 1664525u + 1013904223u;
        sum += static_cast<int>(state >> 20);
      }
      return sum;
    };
    auto divided = [](int v) { return static_cast<int>(std::floor(v / 64.0)); };
    Layer l{N, K, {}, {}};
    for (int64_t i = 0; i < N * K; i++)
      l.w.push_back(static_cast<float>(draw()) / 65536);
    std::vector<double> x;
    for (int64_t t = 0; t < tokens; t++) {
      const int common = divided(draw());
      int before = 0;
      for (int64_t k = 0; k < K; k++) {
        const int own = divided(draw());
        x.push_back(static_cast<double>((2 * own + before + common) * (1 + k * 7 % 5)));
        before = own;
      }
    }
    l.statistics = statisticsOf(x, tokens, K);
    return l;
  }();
  return layer;
}

Layer randomLayer(int64_t N, int64_t K, unsigned seed, int64_t tokens) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  Layer l{N, K, {}, {}};
  for (int64_t i = 0; i < N * K; i++)
    l.w.push_back(static_cast<float>(0.05 * normal(random)));
  if (tokens == 0)
    tokens = 4 * K;
  std::vector<double> size(K), x(tokens * K);
  for (double &v : size)
    v = std::exp(0.5 * normal(random));
  for (int64_t t = 0; t < tokens; t++) {
    double drift = 0;
    for (int64_t k = 0; k < K; k++) {
      drift = 0.8 * drift + normal(random);
      x[t * K + k] = drift * size[k];
    }
  }
  l.statistics = statisticsOf(x, tokens, K);
  return l;
}

double errorOf(const Format &format, const FieldValues &fields, const Layer &layer, const std::vector<int32_t> &order) {
  const auto [N, K, w, statistics] = layer;
  std::vector<float> values(w.size()), natural(w.size());
  EXPECT_TRUE(decode(format, fields, N, K, values.data()));
  if (order.empty())
    natural = values;
  for (size_t j = 0; j < order.size(); j++)
    for (int64_t n = 0; n < N; n++)
      natural[n * K + order[j]] = values[n * K + int64_t(j)];
  return outputError(w, natural, N, K, statistics.hessian);
}

static double encodedError(const Format &format, const Layer &layer, std::span<const float> importance) {
  auto fields = encode(format, layer.w, layer.N, layer.K, importance);
  if (fields)
    return errorOf(format, *fields, layer);
  ADD_FAILURE() << format.spec() << ": " << fields.error().message;
  return INFINITY;
}

double nearestError(const Format &format, const Layer &layer) {
  return encodedError(format, layer, {});
}

double importanceError(const Format &format, const Layer &layer) {
  std::vector<float> diagonal;
  for (int64_t k = 0; k < layer.K; k++)
    diagonal.push_back(layer.statistics.hessian[k * (layer.K + 1)]);
  return encodedError(format, layer, diagonal);
}

std::unique_ptr<GptqResult> gptqOf(const Format &format, const Layer &layer, const GptqOptions &options,
                                   unsigned threads) {
  auto result = gptq(format, layer.w, layer.N, layer.K, layer.statistics, options, threads);
  if (result)
    return std::make_unique<GptqResult>(std::move(*result));
  ADD_FAILURE() << format.spec() << ": " << result.error().message;
  return nullptr;
}

} // namespace quantc::test
