//===- KernelTimesTest.cpp --------------------------------------------------------------------------------------===//

#include "quantc/Runtime/KernelTimes.h"
#include "ToyArtifact.h"
#include "quantc/Runtime/Measure.h"
#include <gmock/gmock.h>

using namespace quantc;

namespace {

ArgEntry scalar(Scalar which) {
  return {.kind = ArgKind::Scalar, .scalar = which};
}

/// One kernel, its weights of 100 and 200 bytes, a cache of 64 bytes for each position.
struct OneKernel {
  Manifest manifest;
  LaunchEntry launch{.kernel = 0, .args = {}};

  explicit OneKernel(KernelWork work) {
    manifest.kernels = {{.name = "k", .work = std::move(work)}};
    manifest.weights = {{.name = "a", .shape = {100}}, {.name = "b", .shape = {200}}};
    manifest.buffers = {{.name = "x", .perToken = 8}, {.name = "cache", .perContext = 64, .persistent = true}};
  }
  std::optional<LaunchWork> of(const StepSize &step) const {
    return workOf(manifest, launch, step, [](const WeightEntry &w) { return uint64_t(w.shape[0]); });
  }
};

} // namespace

TEST(KernelTimes, CountsProductsWithWeights) {
  OneKernel linear({.multiplications = 1000});
  linear.launch.args = {{ArgKind::Buffer, 0}, scalar(Scalar::Tokens), {ArgKind::Weight, 0}, {ArgKind::Weight, 1}};
  const auto work = linear.of({.tokens = 7, .past = 3});
  ASSERT_TRUE(work);
  EXPECT_EQ(work->bytes, 300u);
  EXPECT_EQ(work->multiplications, 7000u);
  // Of a step one row of logits is computed.
  linear.launch.args[1] = scalar(Scalar::Rows);
  EXPECT_EQ(linear.of({.tokens = 7, .past = 3})->multiplications, 1000u);
}

TEST(KernelTimes, CountsWhatTokensSeeOfTheCache) {
  KernelWork work{.ofPosition = 10};
  const auto bytesAndProducts = [&](int64_t tokens, int64_t past) {
    OneKernel attention(work);
    attention.launch.args = {{ArgKind::Buffer, 0}, {ArgKind::Buffer, 1}, scalar(Scalar::Context), scalar(Scalar::Past)};
    const auto found = attention.of({tokens, past});
    return std::pair(found->bytes, found->multiplications);
  };
  EXPECT_EQ(bytesAndProducts(3, 5), std::pair(uint64_t(64 * 8), uint64_t(10 * (6 + 7 + 8))));
  work.window = 4;
  EXPECT_EQ(bytesAndProducts(3, 5), std::pair(uint64_t(64 * 6), uint64_t(10 * (4 + 4 + 4))));
  EXPECT_EQ(bytesAndProducts(5, 0), std::pair(uint64_t(64 * 5), uint64_t(10 * (1 + 2 + 3 + 4 + 4))));
}

TEST(KernelTimes, OtherKernelsHaveNoFloor) {
  OneKernel norm({.operations = {"rms_norm"}});
  EXPECT_FALSE(norm.of({}));
  norm.manifest.kernels[0].work.reset(); // an artifact of version 1
  EXPECT_FALSE(norm.of({}));
}

TEST(KernelTimes, TheFloorIsWhatTakesLongest) {
  const Ceilings ceilings{.bytes = 100, .operations = {{"f32", 10}, {"fast", 1000}}};
  const std::vector<std::string> f32 = {"f32"}, fast = {"helper", "fast", "f32"}, unknown = {"new"};
  const auto floor = [&](LaunchWork work, const std::vector<std::string> &instructions) {
    const auto found = floorOf(work, ceilings, instructions);
    return found ? std::pair(found->seconds, found->ofMemory) : std::pair(-1.0, false);
  };
  EXPECT_EQ(floor({.bytes = 500, .multiplications = 20}, f32), std::pair(5.0, true));
  EXPECT_EQ(floor({.bytes = 500, .multiplications = 50}, f32), std::pair(10.0, false));
  EXPECT_EQ(floor({.bytes = 500, .multiplications = 50}, fast), std::pair(5.0, true));
  EXPECT_EQ(floor({.bytes = 500, .multiplications = 5000}, fast), std::pair(10.0, false));
  // What is unknown is at least as fast as f32, so that reading decides here, and there it may not.
  EXPECT_EQ(floor({.bytes = 500, .multiplications = 20}, unknown), std::pair(5.0, true));
  EXPECT_EQ(floor({.bytes = 500, .multiplications = 50}, unknown), std::pair(-1.0, false));
}

TEST(KernelTimes, EveryKernelIsMeasured) {
  auto manifest = toy::manifest();
  manifest["kernels"][3]["computes"] = {{"operations", {"linear"}},
                                        {"activations", "f32"},
                                        {"multiplications", toy::vocab * toy::hidden},
                                        {"of_position", 0},
                                        {"window", 0}};
  manifest["kernels"][3]["choices"]["plain"] = {{"tiles", nlohmann::json::array()},
                                                {"instructions", {"f32"}},
                                                {"many_tokens", nlohmann::json::array()},
                                                {"reasons", nlohmann::json::array()}};
  const auto model = Model::load(toy::write(manifest));
  ASSERT_TRUE(model) << model.error().message;
  const auto times = timeKernels(*model, {.threads = 2, .tokens = {1, 8, 512}, .rounds = 1});
  ASSERT_TRUE(times) << times.error().message;
  EXPECT_EQ(times->threads, 2u);
  EXPECT_GT(times->ceilings.bytes, 1e7);
  EXPECT_GT(times->ceilings.operations.at("f32"), 1e8);
  // The context of the toy model has 256 positions.
  const int64_t tokens[] = {1, 8, 256}, past[] = {255, 248, 0};
  ASSERT_EQ(times->steps.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(times->steps[i].step.tokens, tokens[i]);
    EXPECT_EQ(times->steps[i].step.past, past[i]);
    ASSERT_EQ(times->steps[i].kernels.size(), 4u);
    for (size_t kernel = 0; kernel < 4; ++kernel) {
      EXPECT_EQ(times->steps[i].kernels[kernel].index, kernel);
      EXPECT_GT(times->steps[i].kernels[kernel].seconds, 0);
      EXPECT_EQ(times->steps[i].kernels[kernel].floor.has_value(), kernel == 3);
    }
  }
  // Where there is one kind of step, it begins a sequence.
  const auto alone = timeKernels(*model, {.threads = 1, .tokens = {4}, .rounds = 1});
  ASSERT_TRUE(alone) << alone.error().message;
  EXPECT_EQ(alone->steps.at(0).step.past, 0);
}

TEST(KernelTimes, RefusesStepsWithoutTokens) {
  const auto model = Model::load(toy::write(toy::manifest()));
  ASSERT_TRUE(model);
  for (const std::vector<int64_t> &tokens : {std::vector<int64_t>{}, {4, 0}})
    EXPECT_THAT(timeKernels(*model, {.tokens = tokens}).error().message, testing::HasSubstr("1 token or more"));
}

TEST(Measure, PeaksOfProductsArePlausible) {
  const auto pool = *ThreadPool::create(1);
  for (const PeakDot &dot : peakDots()) {
    const double peak = peakOf(dot, *pool, 0.01);
    EXPECT_EQ(peak > 0, dot.run(1) > 0) << dot.name;
    EXPECT_TRUE(peak == 0 || (peak > 1e8 && peak < 1e14)) << dot.name << " " << peak;
  }
}
