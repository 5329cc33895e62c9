//===- AwqTest.cpp - input scales and clipping ------------------------------------------------------------------===//

#include "quantc/Methods/Awq.h"
#include "TestLayers.h"
#include "quantc/Encode/Encode.h"
#include <cmath>

using namespace quantc;
using namespace quantc::test;

/// The error in the outputs of a weight that is scaled, and clipped or not, before it is encoded.
static double errorWith(const Format &format, const Layer &layer, std::span<const float> scales, bool clip) {
  Layer scaled = layer;
  for (size_t i = 0; i < scaled.w.size(); i++)
    scaled.w[i] *= scales[i % layer.K];
  scaled.statistics = dividedInputs(scaled.statistics, scales);
  std::vector<float> w = scaled.w;
  if (clip) {
    EXPECT_TRUE(awqClip(format, w, layer.N, layer.K, scaled.statistics, {}, 1));
  }
  auto fields = encode(format, w, layer.N, layer.K);
  EXPECT_TRUE(fields);
  return errorOf(format, *fields, scaled);
}

TEST(Awq, LowersTheErrorInEveryFormat) {
  const Layer layer = randomLayer(32, 256, 21);
  for (const char *spec :
       {"int:4:g128", "int:3:g64:asym", "int:8:gK", "q4_0", "q4_k", "nf4", "nf4:dq", "mxfp4", "fp8:r128:c128"}) {
    const auto format = formatOf(spec);
    const AwqLinear linear{rowsOf(layer.w, layer.K), layer.N, format.get()};
    const auto found = awqScales(std::span(&linear, 1), layer.K, layer.statistics, {}, 1);
    ASSERT_TRUE(found) << spec << ": " << found.error().message;
    EXPECT_LE(found->error, found->errorBefore) << spec;
    EXPECT_NEAR(found->errorBefore / nearestError(*format, layer), 1, 1e-4) << spec;
    EXPECT_NEAR(found->error / errorWith(*format, layer, found->scales, false), 1, 1e-3) << spec;
    const std::vector<float> ones(layer.K, 1.0f);
    EXPECT_LE(errorWith(*format, layer, ones, true), 1.1 * nearestError(*format, layer)) << spec;
  }
}

TEST(Awq, TakesTheBetterForm) {
  const auto format = formatOf("int:3:g32:asym");
  for (unsigned seed : {31, 32, 33, 34}) {
    const Layer layer = randomLayer(24, 128, seed);
    const AwqLinear linear{rowsOf(layer.w, layer.K), layer.N, format.get()};
    double least = INFINITY;
    for (const AwqScaleForm form : {AwqScaleForm::Inputs, AwqScaleForm::InputsAndWeights}) {
      const auto one = awqScales(std::span(&linear, 1), layer.K, layer.statistics, {.form = form}, 1);
      ASSERT_TRUE(one);
      least = std::min(least, one->error);
    }
    const auto both = awqScales(std::span(&linear, 1), layer.K, layer.statistics, {}, 1);
    ASSERT_TRUE(both);
    EXPECT_EQ(both->error, least);
  }
}

/// Of other inputs another scale may be best, or none.
TEST(Awq, OthersCanJudge) {
  const Layer layer = randomLayer(32, 128, 23), other = randomLayer(32, 128, 24);
  const auto format = formatOf("int:3:g32");
  const AwqLinear linear{rowsOf(layer.w, layer.K), layer.N, format.get()};
  AwqOptions options;
  const auto own = awqScales(std::span(&linear, 1), layer.K, layer.statistics, options, 1);
  options.judge = other.statistics.hessian;
  const auto judged = awqScales(std::span(&linear, 1), layer.K, layer.statistics, options, 1);
  ASSERT_TRUE(own && judged);
  Layer seen = layer;
  seen.statistics.hessian = other.statistics.hessian;
  EXPECT_NEAR(judged->error / errorWith(*format, seen, judged->scales, false), 1, 1e-3);
  EXPECT_LE(judged->error, 1.001 * errorWith(*format, seen, own->scales, false));
  options.judge = options.judge.first(7);
  EXPECT_FALSE(awqScales(std::span(&linear, 1), layer.K, layer.statistics, options, 1));
}

/// What quantizes is asked with the statistics of the divided inputs.
TEST(Awq, RoundingOfOthers) {
  const Layer layer = randomLayer(16, 64, 25);
  const auto format = formatOf("int:4:g32");
  const AwqLinear linear{rowsOf(layer.w, layer.K), layer.N, format.get()};
  std::vector<float> firstOfDiagonal;
  AwqOptions options;
  options.steps = 2;
  options.rounding = [&](const InputStatistics &divided) -> Result<AwqRounding> {
    firstOfDiagonal.push_back(divided.hessian[0]);
    return AwqRounding([](const Format &, std::span<const float> w, int64_t, int64_t) -> Result<std::vector<float>> {
      return std::vector<float>(w.begin(), w.end());
    });
  };
  const auto found = awqScales(std::span(&linear, 1), layer.K, layer.statistics, options, 1);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->scales, std::vector<float>(64, 1.0f)) << "nothing is better than what loses nothing";
  ASSERT_EQ(firstOfDiagonal.size(), 5u); // no scales, and two exponents both ways
  EXPECT_EQ(firstOfDiagonal[0], layer.statistics.hessian[0]);
  EXPECT_NE(firstOfDiagonal[1], firstOfDiagonal[0]);
}

namespace {
/// Counts what lies in it.
struct CountingMemory : std::pmr::memory_resource {
  void *do_allocate(size_t bytes, size_t alignment) override {
    most = std::max(most, now += bytes);
    return std::pmr::new_delete_resource()->allocate(bytes, alignment);
  }
  void do_deallocate(void *address, size_t bytes, size_t alignment) override {
    now -= bytes;
    std::pmr::new_delete_resource()->deallocate(address, bytes, alignment);
  }
  bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override { return this == &other; }
  size_t now = 0, most = 0;
};
} // namespace

/// Exponents are judged one after the other: a divided Hessian, a factored one and a damped one, whatever their number.
TEST(Awq, MemoryForOneExponent) {
  const Layer layer = randomLayer(8, 192, 26);
  const auto format = formatOf("int:4:g32");
  const AwqLinear linear{rowsOf(layer.w, layer.K), layer.N, format.get()};
  CountingMemory memory;
  AwqOptions options{.steps = 5, .memory = &memory};
  options.rounding = [&](const InputStatistics &divided) -> Result<AwqRounding> {
    QUANTC_ASSIGN(const GptqInputsRef inputs, gptqInputs(divided, {}, 1, &memory));
    return AwqRounding(
        [inputs](const Format &of, std::span<const float> w, int64_t N, int64_t K) -> Result<std::vector<float>> {
          QUANTC_ASSIGN(const GptqResult found, gptq(of, w, N, K, *inputs, {}, 1));
          std::vector<float> values(w.size());
          QUANTC_TRY(decode(of, found.fields, N, K, values.data()));
          return values;
        });
  };
  ASSERT_TRUE(awqScales(std::span(&linear, 1), layer.K, layer.statistics, options, 2));
  EXPECT_EQ(memory.most, 16u * 192 * 192);
  EXPECT_EQ(memory.now, 0u);
}

TEST(Awq, OneScaleForLinearsOfDifferentFormats) {
  const Layer layer = randomLayer(48, 128, 22);
  const auto four = formatOf("int:4:g32"), two = formatOf("int:2:g32");
  const std::span<const float> w = layer.w;
  const AwqLinear linears[] = {{rowsOf(w.first(32 * 128), 128), 32, four.get()},
                               {rowsOf(w.last(16 * 128), 128), 16, two.get()}};
  const auto found = awqScales(linears, layer.K, layer.statistics, {}, 1);
  ASSERT_TRUE(found) << found.error().message;
  Layer first = layer, second = layer;
  first.N = 32;
  first.w.resize(32 * 128);
  second.N = 16;
  second.w.erase(second.w.begin(), second.w.begin() + 32 * 128);
  EXPECT_NEAR((errorWith(*four, first, found->scales, false) + errorWith(*two, second, found->scales, false)) /
                  found->error,
              1, 1e-3);
  EXPECT_LT(found->error, found->errorBefore);
}

TEST(Awq, SameBytesForAnyNumberOfThreads) {
  const Layer layer = randomLayer(100, 256, 23);
  for (const char *spec : {"int:4:g32", "nf4:dq", "fp8"}) {
    const auto format = formatOf(spec);
    const AwqLinear linear{rowsOf(layer.w, layer.K), layer.N, format.get()};
    const AwqOptions options{.rows = 40, .weights = 0};
    const auto one = awqScales(std::span(&linear, 1), layer.K, layer.statistics, options, 1),
               three = awqScales(std::span(&linear, 1), layer.K, layer.statistics, options, 3);
    ASSERT_TRUE(one && three);
    EXPECT_EQ(one->scales, three->scales);
    EXPECT_EQ(one->error, three->error);
    std::vector<float> a = layer.w, b = layer.w;
    ASSERT_TRUE(awqClip(*format, a, layer.N, layer.K, layer.statistics, {}, 1));
    ASSERT_TRUE(awqClip(*format, b, layer.N, layer.K, layer.statistics, {}, 3));
    EXPECT_EQ(a, b) << spec;
  }
}

TEST(Awq, ChannelsWithoutInput) {
  Layer layer = randomLayer(8, 64, 24);
  for (int64_t k = 5; k < 9; k++) {
    layer.statistics.meanAbs[k] = 0;
    for (int64_t j = 0; j < 64; j++)
      layer.statistics.hessian[k * 64 + j] = layer.statistics.hessian[j * 64 + k] = 0;
  }
  const auto format = formatOf("int:4:g32");
  const AwqLinear linear{rowsOf(layer.w, layer.K), layer.N, format.get()};
  for (const AwqScaleForm form : {AwqScaleForm::Inputs, AwqScaleForm::InputsAndWeights}) {
    const auto found = awqScales(std::span(&linear, 1), layer.K, layer.statistics, {.form = form}, 1);
    ASSERT_TRUE(found);
    for (float s : found->scales)
      EXPECT_TRUE(std::isfinite(s) && s > 0);
    EXPECT_LE(found->error, found->errorBefore);
  }
}

TEST(Awq, Refusals) {
  Layer layer = randomLayer(2, 64, 25);
  const auto format = formatOf("int:4:g32");
  AwqLinear linear{rowsOf(layer.w, layer.K), 2, format.get()};
  auto message = [&](int64_t K, const InputStatistics &statistics, const AwqOptions &options = {}) {
    auto found = awqScales(std::span(&linear, 1), K, statistics, options, 1);
    return found ? "no error" : found.error().message;
  };
  EXPECT_EQ(message(32, layer.statistics), "the statistics have 64 features, the weight has 32 columns");
  EXPECT_EQ(message(64, {.K = 64}), "the statistics have no Hessian: calibrate with it");
  InputStatistics without = layer.statistics;
  without.meanAbs.clear();
  EXPECT_EQ(message(64, without), "the statistics have no mean magnitudes of 64 features: calibrate with them");
  EXPECT_EQ(message(64, layer.statistics, {.steps = 0}), "no linear, exponent or row to choose scales by");
  linear.N = 0;
  EXPECT_EQ(message(64, layer.statistics), "a weight has 0 rows");
  linear.read = [](int64_t row, int64_t, float *) -> Status { return fail("row {} is gone", row); };
  linear.N = 2;
  EXPECT_EQ(message(64, layer.statistics), "row 0 is gone");
  linear.read = rowsOf(layer.w, 64);
  layer.w[70] = NAN;
  EXPECT_EQ(message(64, layer.statistics), "row 1, column 6: the weight is nan");
  const auto status = awqClip(*format, layer.w, 2, 64, layer.statistics, {}, 1);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "row 1, column 6: the weight is nan");
}
