//===- ImportanceTest.cpp - clauses `imatrix` of all formats ----------------------------------------------------===//

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
