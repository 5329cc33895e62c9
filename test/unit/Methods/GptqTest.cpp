//===- GptqTest.cpp - error feedback in all kinds of formats ----------------------------------------------------===//

#include "TestLayers.h"
#include "quantc/Encode/Encode.h"
#include <cmath>

using namespace quantc;
using namespace quantc::test;

/// formats.md, section 6.6: 4 bits, one symmetric scale a row.
TEST(Gptq, WorkedExample) {
  const std::vector<float> tokens = {1, .5f, .2f, -.3f, .4f, 1.2f, -.1f, .6f, -.2f, .3f, .9f, .1f};
  InputStatistics statistics{.K = 4, .tokens = 3, .hessian = std::pmr::vector<float>(16)};
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++)
      for (int t = 0; t < 3; t++)
        statistics.hessian[i * 4 + j] += tokens[t * 4 + i] * tokens[t * 4 + j] / 3;
  const Layer layer{1, 4, {.70f, -.35f, .12f, -.92f}, statistics};
  const auto format = formatOf("int:4:gK:f32");
  const auto result = gptqOf(*format, layer, {.refit = false, .grid = GptqGrid::Range});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->fields[format->field("q")->index], (std::vector<uint64_t>{14, 5, 9, 1}));
  // Both sums there are over the 3 tokens.
  EXPECT_NEAR(result->error * 3, 9.604e-4, 1e-7);
  EXPECT_NEAR(nearestError(*format, layer) * 3, 4.336e-3, 1e-6);
  EXPECT_EQ(result->damp, 0.01);
  EXPECT_EQ(result->retries, 0u);
}

static const char *const codedFormats[] = {
    "int:4:g128", "int:3:g32:asym", "int:2:g64", "int:8:gK", "int8_row",      "q4_0",  "q4_1",         "q5_0",
    "q5_1",       "q8_0",           "q2_k",      "q3_k",     "q4_k",          "q5_k",  "q6_k",         "iq4_nl",
    "iq4_xs",     "n3_k",           "nf4",       "nf4:dq",   "fp4",           "mxfp4", "mxfp4_planar", "mxfp8",
    "nvfp4",      "nvfp4_global",   "mlx:3:g32", "hqq",      "fp8:r128:c128", "fp8:r1"};

TEST(Gptq, BetterThanNearestAndImportance) {
  const Layer layer = randomLayer(16, 512, 1);
  for (const char *spec : codedFormats) {
    const auto format = formatOf(spec);
    const auto result = gptqOf(*format, layer, {.refit = false});
    ASSERT_TRUE(result) << spec;
    const double error = errorOf(*format, result->fields, layer);
    EXPECT_LT(error, 0.8 * nearestError(*format, layer)) << spec;
    EXPECT_LT(error, 0.9 * importanceError(*format, layer)) << spec;
    EXPECT_NEAR(result->error / error, 1, 1e-4) << spec;
  }
}

TEST(Gptq, RefitLowersTheError) {
  const Layer layer = randomLayer(16, 512, 2);
  for (const char *spec : codedFormats)
    for (const bool actOrder : {false, true}) {
      const auto format = formatOf(spec);
      GptqOptions options{.actOrder = actOrder, .refit = false};
      const auto plain = gptqOf(*format, layer, options);
      options.refit = true;
      const auto refitted = gptqOf(*format, layer, options);
      ASSERT_TRUE(plain && refitted) << spec;
      const double error = errorOf(*format, refitted->fields, layer, refitted->order);
      const double before = errorOf(*format, plain->fields, layer, plain->order);
      EXPECT_LT(error, (actOrder ? 0.995 : 0.97) * before) << spec;
      EXPECT_NEAR(refitted->error / error, 1, 1e-4) << spec;
    }
}

TEST(Gptq, SameBytesForAnyNumberOfThreads) {
  const Layer layer = randomLayer(300, 256, 3);
  for (const char *spec : {"int:4:g128", "q4_k", "nf4:dq", "fp8:r128:c128"}) {
    const auto format = formatOf(spec);
    const auto one = gptqOf(*format, layer, {}, 1), three = gptqOf(*format, layer, {}, 3);
    ASSERT_TRUE(one && three);
    EXPECT_EQ(one->fields, three->fields) << spec;
    EXPECT_EQ(one->error, three->error) << spec;
  }
}

TEST(Gptq, OddShapes) {
  const std::tuple<const char *, int64_t, int64_t> shapes[] = {
      {"int:4:g128", 1, 200}, {"int:4:g32:asym", 3, 77}, {"int:3:g64", 5, 1}, {"nf4", 3, 100},   {"nf4:dq", 7, 96},
      {"mlx:4:g32", 130, 40}, {"fp8:r16:c32", 37, 50},   {"q4_0", 1, 96},     {"q4_k", 129, 256}};
  for (const auto &[spec, N, K] : shapes)
    for (const GptqOptions &options :
         {GptqOptions{}, GptqOptions{.actOrder = true, .block = 24},
          GptqOptions{.actOrder = true, .staticGroups = true}, GptqOptions{.scales = GptqScales::Block, .block = 7}}) {
      const auto format = formatOf(spec);
      const Layer layer = randomLayer(N, K, 4);
      const auto result = gptqOf(*format, layer, options);
      ASSERT_TRUE(result) << spec;
      const double error = errorOf(*format, result->fields, layer, result->order);
      EXPECT_NEAR(result->error, error, 1e-3 * error + 1e-9) << spec;
      EXPECT_LT(error, 1.05 * nearestError(*format, layer)) << spec;
      EXPECT_EQ(result->order.size(), options.actOrder && !options.staticGroups ? size_t(K) : 0u);
    }
}

TEST(Gptq, DeadColumnsAndFewTokens) {
  Layer layer = randomLayer(8, 128, 5, 40); // rank 40
  for (int64_t k = 10; k < 30; k++)
    for (int64_t j = 0; j < 128; j++)
      layer.statistics.hessian[k * 128 + j] = layer.statistics.hessian[j * 128 + k] = 0;
  const auto format = formatOf("int:4:g128");
  for (const double damp : {0.01, 0.0}) {
    const auto result = gptqOf(*format, layer, {.damp = damp, .refit = false, .grid = GptqGrid::Range});
    ASSERT_TRUE(result);
    EXPECT_EQ(result->retries > 0, damp == 0);
    EXPECT_EQ(result->damp, 0.01);
    const std::vector<uint64_t> &codes = result->fields[format->field("q")->index];
    for (size_t k = 10; k < 30; k++)
      EXPECT_EQ(codes[k], 8u);
    EXPECT_LT(result->error, 0.5 * nearestError(*format, layer));
  }
}

/// Weights that share their inputs share the factored Hessian.
TEST(Gptq, InputsServeSeveralWeights) {
  const Layer layer = randomLayer(8, 256, 9);
  for (const GptqOptions &options : {GptqOptions{}, GptqOptions{.actOrder = true, .staticGroups = true}}) {
    auto inputs = gptqInputs(layer.statistics, options);
    ASSERT_TRUE(inputs) << inputs.error().message;
    for (const char *spec : {"int:4:g64", "q3_k"}) {
      const auto format = formatOf(spec);
      auto shared = gptq(*format, layer.w, layer.N, layer.K, **inputs, options, 2);
      ASSERT_TRUE(shared) << shared.error().message;
      EXPECT_EQ(shared->fields, gptqOf(*format, layer, options)->fields) << spec;
    }
  }
}

//===--- Refusals -----------------------------------------------------------------------------------------------===//

static std::string gptqError(const std::string &spec, const Layer &layer, const GptqOptions &options = {}) {
  auto result = gptq(*formatOf(spec), layer.w, layer.N, layer.K, layer.statistics, options, 1);
  return result ? "no error" : result.error().message;
}

TEST(GptqRefusals, Numbers) {
  Layer layer = randomLayer(2, 64, 6);
  layer.w[70] = NAN;
  EXPECT_EQ(gptqError("int:4:g32", layer), "row 1, column 6: the weight is nan");
  layer.w[70] = 0;
  layer.statistics.hessian[3 * 64 + 5] = INFINITY;
  EXPECT_EQ(gptqError("int:4:g32", layer),
            "the Hessian is inf at row 3, column 5: the calibration saw inputs that are no numbers");
  layer.statistics.hessian[3 * 64 + 5] = 0;
  layer.statistics.hessian[3 * 64 + 3] = -1;
  EXPECT_EQ(gptqError("int:4:g32", layer),
            "the Hessian is -1 at row 3, column 3: the mean of a square is not negative");
  layer.statistics.hessian[3 * 64 + 3] = 1;
  layer.statistics.hessian[0 * 64 + 3] = layer.statistics.hessian[3 * 64 + 0] = 1e6;
  EXPECT_EQ(gptqError("int:4:g32", layer).substr(0, 68),
            "the Hessian is not positive definite, with a damping of 0.99 neither");
}

TEST(GptqRefusals, Arguments) {
  Layer layer = randomLayer(2, 256, 7);
  EXPECT_EQ(gptqError("int:4:g32", layer, {.damp = -1}), "a damping of -1 is not in [0, 1)");
  EXPECT_EQ(gptqError("int:4:g32", layer, {.block = 0}), "a block of 0 columns: take at least 1");
  for (const char *spec : {"iq2_xs", "tq1_0", "f16", "iq3_s", "iq1_s"})
    EXPECT_EQ(gptqError(spec, layer).substr(0, 52),
              fmt::format("format '{}' does not have one code of at most 8 bits", spec).substr(0, 52));
  EXPECT_EQ(gptqError("q8_k", layer),
            "format 'q8_k' derives 'sums' from its codes: take a method without error feedback");
  EXPECT_EQ(gptqError("q4_k", randomLayer(2, 64, 8)), "q4_k cannot hold a weight of 2 x 64: its blocks are 1 x 256");
  layer.statistics.K = 128;
  EXPECT_EQ(gptqError("int:4:g32", layer), "the statistics have 128 features, the weight has 256 columns");
  layer.statistics = {.K = 256};
  EXPECT_EQ(gptqError("int:4:g32", layer), "the statistics have no Hessian: calibrate with it");
}
