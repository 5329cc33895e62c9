//===- ImportanceTest.cpp - clauses `imatrix` of all formats ----------------------------------------------------===//

#include "quantc/Methods/Importance.h"
#include "TestLayers.h"
#include "quantc/Encode/Encode.h"
#include <cmath>

using namespace quantc;
using namespace quantc::test;

/// Sum of importance * error^2.
static double weightedError(const Format &format, const Layer &layer, std::span<const float> importance, bool guided) {
  auto fields = encode(format, layer.w, layer.N, layer.K, guided ? importance : std::span<const float>());
  EXPECT_TRUE(fields) << format.spec() << ": " << fields.error().message;
  const std::vector<float> values = decoded(format, *fields, layer.N, layer.K);
  double total = 0;
  for (size_t i = 0; i < values.size(); i++)
    total += importance[i % layer.K] * std::pow(double(values[i]) - layer.w[i], 2);
  return total;
}

/// How much of the error without importance is left, at most. (Formats with a search of ggml's are held to its bytes by
/// the tests of Encode.)
static const std::pair<const char *, double> guided[] = {
    {"int:4:g128", 0.85},    {"int:3:g64", 0.8},     {"int:2:g64:asym", 0.6},
    {"int:4:g32:asym", 0.9}, {"int:8:gK", 0.95},     {"int8_row", 0.95},
    {"nf4", 0.85},           {"nf4:dq", 0.95},       {"nf4:b128", 0.85},
    {"fp4", 0.85},           {"fp4:dq", 0.95},       {"mxfp4_planar", 0.99},
    {"nvfp4", 0.85},         {"nvfp4_global", 0.85}, {"nvfp4_global:times", 0.85},
    {"mlx", 0.85},           {"mlx:2:g32", 0.7},     {"hqq", 0.9},
    {"n3_k", 0.9},           {"q4_k", 0.9},          {"q3_k", 0.9},
    {"q6_k", 0.9},           {"iq4_xs", 0.9}};

TEST(Importance, LowersTheWeightedError) {
  const Layer layer = randomLayer(8, 512, 11);
  std::vector<float> importance;
  for (int64_t k = 0; k < layer.K; k++)
    importance.push_back(layer.statistics.hessian[k * (layer.K + 1)]);
  for (const auto &[spec, most] : guided) {
    const auto format = formatOf(spec);
    ASSERT_TRUE(format->encode("imatrix")) << spec;
    const double with = weightedError(*format, layer, importance, true),
                 without = weightedError(*format, layer, importance, false);
    EXPECT_LT(with, most * without) << spec;
  }
}

/// Importance that is the same everywhere helps too: the searches also look at the weights.
TEST(Importance, OfOnesIsTheSmallestSquaredError) {
  const Layer layer = randomLayer(8, 512, 12);
  const std::vector<float> ones(layer.K, 1.0f);
  for (const char *spec :
       {"int:4:g128", "int:3:g64:asym", "nf4", "fp4", "mxfp4_planar", "nvfp4", "mlx", "hqq", "int8_row"}) {
    const auto format = formatOf(spec);
    EXPECT_LE(weightedError(*format, layer, ones, true), weightedError(*format, layer, ones, false)) << spec;
  }
}

/// By hand: codes -2 … 1 of a scale. With the largest weight, which the plain scale keeps exactly, of no importance the
/// search finds the scale that suits the others.
TEST(Importance, OfNoneGivesAWeightUp) {
  const auto format = formatOf("int:2:g8:f32");
  const std::vector<float> x = {-6, 1.8f, -1.8f, -3.6f, 1.8f, -1.8f, -3.6f, 1.8f};
  auto fieldsWith = [&](std::vector<float> importance) {
    auto fields = encode(*format, x, 1, 8, importance);
    EXPECT_TRUE(fields);
    return decoded(*format, *fields, 1, 8);
  };
  // Plain: scale 12 / 3 = 4, values 0 and ±4. The search goes down to a half in steps of 2 %.
  const std::vector<float> values = fieldsWith({0, 1, 1, 1, 1, 1, 1, 1});
  for (size_t i = 1; i < x.size(); i++)
    EXPECT_NEAR(values[i], x[i], 0.5f) << i;
}

/// Weights that are all zero, and importances that are, have a scale that is a number.
TEST(Importance, OfZeros) {
  Layer layer = randomLayer(2, 512, 13);
  for (const auto &[spec, most] : guided) {
    const auto format = formatOf(spec);
    const std::vector<float> zeros(layer.K);
    EXPECT_TRUE(encode(*format, layer.w, layer.N, layer.K, zeros)) << spec;
    const std::vector<float> noWeights(layer.w.size()), ones(layer.K, 1.0f);
    auto fields = encode(*format, noWeights, layer.N, layer.K, ones);
    ASSERT_TRUE(fields) << spec;
    for (float v : decoded(*format, *fields, layer.N, layer.K))
      EXPECT_EQ(v, 0) << spec;
  }
}

//===--- With the whole Hessian ---------------------------------------------------------------------------------===//

static FieldValues byImportance(const Format &format, const Layer &layer, unsigned threads = 1) {
  auto fields = encodeByImportance(format, layer.w, layer.N, layer.K, layer.statistics, threads);
  if (fields)
    return std::move(*fields);
  ADD_FAILURE() << format.spec() << ": " << fields.error().message;
  return {};
}

/// Formats with parts of a row, with fields of whole rows, of several rows, and of the whole weight. What is left of
/// the lesser of the two errors, without statistics and with the mean squares alone, at most.
TEST(ImportanceByOutputs, LowersTheError) {
  const Layer layer = randomLayer(70, 512, 14);
  const std::pair<const char *, double> cases[] = {
      {"int:4:g64", 0.9},    {"int:3:g64:asym", 0.9},     {"int:2:g32", 0.9}, {"int:8:gK", 1.0}, {"nf4", 0.95},
      {"nf4:dq", 1.0},       {"mxfp4_planar", 1.0},       {"mlx", 0.95},      {"q3_k", 0.98},    {"q4_k", 0.98},
      {"nvfp4_global", 1.0}, {"nvfp4_global:times", 1.0}, {"q4_0", 0.9},      {"iq4_xs", 0.98}};
  for (const auto &[spec, most] : cases) {
    const auto format = formatOf(spec);
    const FieldValues fields = byImportance(*format, layer);
    EXPECT_LE(errorOf(*format, fields, layer),
              most * std::min(nearestError(*format, layer), importanceError(*format, layer)))
        << spec;
    EXPECT_EQ(fields, byImportance(*format, layer, 3)) << spec;
  }
}

/// Rows of four groups: each ends where no other choice for one of its groups lowers the error further, by all errors
/// in f64.
TEST(ImportanceByOutputs, NoOtherChoiceOfAGroupIsBetter) {
  const Layer layer = randomLayer(5, 32, 15);
  const auto format = formatOf("int:2:g8:f32");
  const auto &[N, K, w, statistics] = layer;
  std::vector<std::vector<float>> candidates = {decoded(*format, *encode(*format, w, N, K), N, K)};
  for (double power : {0.0, 0.5, 1.0}) {
    std::vector<float> importance;
    for (int64_t k = 0; k < K; k++)
      importance.push_back(static_cast<float>(std::pow(double(statistics.hessian[k * (K + 1)]), power)));
    candidates.push_back(decoded(*format, *encode(*format, w, N, K, importance), N, K));
  }
  double added = 0;
  for (int64_t k = 0; k < K; k++)
    added += 0.01 * statistics.hessian[k * (K + 1)] / double(K);
  auto error = [&](std::span<const float> row, int64_t n) {
    double total = 0;
    for (int64_t i = 0; i < K; i++)
      for (int64_t j = 0; j < K; j++)
        total += (double(row[i]) - w[n * K + i]) * (double(row[j]) - w[n * K + j]) *
                 (statistics.hessian[i * K + j] + (i == j ? added : 0));
    return total;
  };
  const std::vector<float> found = decoded(*format, byImportance(*format, layer), N, K);
  for (int64_t n = 0; n < N; n++) {
    const std::vector<float> row(found.begin() + n * K, found.begin() + (n + 1) * K);
    const double least = error(row, n);
    for (int64_t group = 0; group < K; group += 8)
      for (const std::vector<float> &candidate : candidates) {
        std::vector<float> other = row;
        std::copy_n(candidate.begin() + n * K + group, 8, other.begin() + group);
        EXPECT_GE(error(other, n), least * (1 - 1e-5)) << n << ", " << group;
      }
  }
}

TEST(ImportanceByOutputs, WithoutAHessianIsTheClause) {
  Layer layer = randomLayer(8, 512, 16);
  for (int64_t k = 0; k < layer.K; k++)
    layer.statistics.meanSquare.push_back(layer.statistics.hessian[k * (layer.K + 1)]);
  layer.statistics.hessian.clear();
  for (const char *spec : {"int:4:g64", "q4_k", "f16"}) {
    const auto format = formatOf(spec);
    EXPECT_EQ(byImportance(*format, layer), *encode(*format, layer.w, layer.N, layer.K, layer.statistics.meanSquare))
        << spec;
  }
  layer.statistics.hessian.resize(512 * 512);
  layer.statistics.K = 256;
  EXPECT_FALSE(encodeByImportance(*formatOf("q4_k"), layer.w, layer.N, layer.K, layer.statistics));
}
