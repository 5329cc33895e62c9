//===- SplitTest.cpp - layers of a model on a GPU that the emulator plays, the rest on the processor --------------===//

#include "DeviceModels.h"
#include "quantc/Artifact/Manifest.h"
#include "quantc/Runtime/Generator.h"
#include "quantc/Support/Files.h"
#include <fstream>
#include <regex>

using namespace quantc;
using namespace quantc::test;
using testing::HasSubstr;
namespace fs = std::filesystem;

namespace {

/// Processors multiply it with f32: what is off is off by the GPU.
const std::string format = "f16";
constexpr int64_t layers = 3;

/// One artifact for both.
const MadeModel &both() {
  static const MadeModel one("both", "--arch llama --ffn 128 --vocab 51 --layers 3", format, {"x86-64-v3", "sm_80"});
  return one;
}

Result<std::shared_ptr<const Model>> loadLayers(std::optional<int64_t> count, const StandInGPU &gpu = {}) {
  return loadOnDevice(both(), gpu, {.gpuLayers = count});
}

TEST(Split, AnyNumberOfLayersGivesTheLogitsOfTheReference) {
  const std::vector<double> expected = reference(both().model, format, tokens);
  // `bound` is for two layers.
  const double most = bound * (4 * layers + 1) * (4 * layers + 1) / 81;
  for (int64_t count = 0; count <= layers + 1; count++) {
    SCOPED_TRACE(count);
    const auto model = loadLayers(count);
    ASSERT_TRUE(model) << model.error().message;
    for (size_t step : {tokens.size(), size_t(1), size_t(8)}) {
      auto session = sessionOn(*model);
      ASSERT_TRUE(session);
      EXPECT_LT(error(expected, logitsInSteps(*session, tokens, step)), most) << "steps of " << step;
    }
    const StandInCounts counts = StandIn::get().counts();
    EXPECT_EQ(counts.launches > 0, count > 0);
    EXPECT_EQ(counts.graphLaunches, count > 0 ? tokens.size() : 0); // all but one of 1 token, and one of 8
  }
}

TEST(Split, WritesTheTokensOfTheProcessor) {
  std::vector<std::vector<int32_t>> texts;
  for (int64_t count = 0; count <= layers + 1; count++) {
    const auto model = loadLayers(count);
    ASSERT_TRUE(model) << model.error().message;
    auto session = sessionOn(*model);
    ASSERT_TRUE(session);
    const auto made = generate(*session, tokens, {.maxTokens = 12, .ignoreEnd = true});
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(texts.emplace_back(made->tokens), texts.front()) << count;
  }
  EXPECT_EQ(texts.front().size(), 12u);
}

TEST(Split, ForgetsInAllPlaces) {
  const auto model = loadLayers(1);
  ASSERT_TRUE(model) << model.error().message;
  auto session = sessionOn(*model);
  ASSERT_TRUE(session);
  const std::vector<float> first = logitsOf(*session, tokens, Rows::Last);
  session->reset();
  EXPECT_EQ(logitsOf(*session, tokens, Rows::Last), first);
  ASSERT_TRUE(session->rewind(12));
  EXPECT_LT(error(first, logitsOf(*session, std::span(tokens).subspan(12), Rows::Last)), bound);
}

// Weights and KV cache lie where their layers run.
TEST(Split, EachLayerTakesItsMemory) {
  std::vector<size_t> taken, ofSessions;
  for (int64_t count = 1; count <= layers + 1; count++) {
    const auto model = loadLayers(count);
    ASSERT_TRUE(model) << model.error().message;
    taken.push_back(StandIn::get().counts().liveBytes);
    const auto session = sessionOn(*model, {.context = 2048, .chunk = 16});
    ofSessions.push_back(StandIn::get().counts().liveBytes - taken.back());
    // Keys and values of two heads of 16 features in f16.
    EXPECT_GE(ofSessions.back(), static_cast<size_t>(std::min(count, layers)) * 2048 * 2 * 2 * 16 * 2);
    EXPECT_LT(ofSessions.back(), static_cast<size_t>(std::min(count, layers) + 1) * 2048 * 2 * 2 * 16 * 2);
  }
  EXPECT_EQ(taken[2] - taken[1], taken[1] - taken[0]); // a layer is as large as the other
  EXPECT_GT(taken[3], taken[2]);
  EXPECT_EQ(StandIn::get().counts().liveBytes, 0u);
}

TEST(Split, NamesBothTargets) {
  const auto model = loadLayers(2);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ((*model)->target(), "sm_80+x86-64-v3");
  for (const char *target : {"sm_80", "x86-64-v3"})
    EXPECT_TRUE(loadOnDevice(both(), {}, {.target = target, .gpuLayers = 2})) << target;
  EXPECT_THAT(messageOf(loadOnDevice(both(), {}, {.target = "sm_90a", .gpuLayers = 2})),
              HasSubstr("holds no code for sm_90a; it has x86-64-v3"));
  EXPECT_EQ((*loadLayers(layers + 1))->target(), "sm_80");
  EXPECT_EQ((*loadLayers(std::nullopt))->target(), "sm_80");
  EXPECT_EQ((*loadLayers(0))->target(), "x86-64-v3");
}

TEST(Split, SaysHowManyLayersWouldFit) {
  const auto info = [](size_t usable) { return StandInGPU{.memory = ((usable + (256 << 20)) * 50 + 48) / 49}; };
  const auto layersIn = [](const std::string &message) -> int64_t {
    std::smatch found;
    return std::regex_search(message, found, std::regex("the last ([0-9]+) of 3 layers, .* \\(--gpu-layers \\1\\)"))
               ? std::stoll(found[1])
               : 0;
  };
  // Weights: as much memory as two layers take.
  size_t two = 0;
  {
    const auto model = loadLayers(2);
    two = StandIn::get().counts().liveBytes;
  }
  const std::string weights = messageOf(loadLayers(std::nullopt, info(two + 4096)));
  EXPECT_EQ(layersIn(weights), 2) << weights;
  EXPECT_TRUE(loadLayers(2, info(two + 4096)));
  // A long KV cache: what is said to fit does.
  const SessionOptions options = {.context = 2048, .chunk = 16};
  for (size_t extra : {700'000, 450'000}) {
    const StandInGPU gpu = info(two + extra);
    const std::string message = messageOf(Session::create(loadLayers(std::nullopt, gpu).value(), options));
    const int64_t fit = layersIn(message);
    ASSERT_GT(fit, 0) << message;
    EXPECT_TRUE(sessionOn(*loadLayers(fit, gpu), options));
    EXPECT_FALSE(Session::create(*loadLayers(fit + 1, gpu), options));
  }
}

// Layers on both sides keep a cache for each sequence.
TEST(Split, ServesSeveralSequences) {
  const auto model = loadLayers(1);
  ASSERT_TRUE(model) << model.error().message;
  std::vector<int32_t> other = tokens;
  std::ranges::reverse(other);
  auto together = sessionOn(*model, {.context = 96, .sequences = 2});
  const auto part = [](int64_t sequence, std::span<const int32_t> text, size_t at, size_t count) {
    return SequenceTokens{sequence, text.subspan(at, count)};
  };
  for (auto [at, count] : {std::pair(0, 5), {5, 1}, {6, 1}, {7, 1}}) {
    const std::vector<SequenceTokens> parts = {part(1, other, at, count), part(0, tokens, at, count)};
    const auto logits = together->stepSequences(parts);
    ASSERT_TRUE(logits) << logits.error().message;
    std::vector<float> expected;
    for (const std::vector<int32_t> &text : {other, tokens}) {
      const std::vector<float> alone =
          logitsOf(*sessionOn(*model), std::span(text).first(static_cast<size_t>(at + count)), Rows::Last);
      expected.insert(expected.end(), alone.begin(), alone.end());
    }
    EXPECT_LT(error(expected, *logits), bound);
  }
}

TEST(Split, SaysWhatIsMissing) {
  EXPECT_THAT(messageOf(loadLayers(-1)), HasSubstr("both.qm: -1 layers on a GPU; give 0 to 3"));
  EXPECT_TRUE(loadLayers(99)); // as in llama.cpp: everything
  const fs::path gpu = Compiled::get().gpu, cpu = Compiled::get().cpu;
  EXPECT_THAT(messageOf(loadOnDevice(gpu, {}, {.gpuLayers = 1})),
              HasSubstr("gpu.qm: holds code for GPUs only, so that all layers run there or none: compile it with "
                        "--target of a processor too, to have 1 of 2 on a GPU"));
  EXPECT_TRUE(loadOnDevice(gpu, {}, {.gpuLayers = 3}));
  EXPECT_THAT(messageOf(loadOnDevice(gpu, {}, {.gpuLayers = 0})),
              HasSubstr("gpu.qm: holds code for GPUs only; run it"));
  EXPECT_THAT(messageOf(loadOnDevice(cpu, {}, {.gpuLayers = 1})), HasSubstr("cpu.qm: holds no code for GPUs"));
  EXPECT_TRUE(loadOnDevice(cpu, {}, {.gpuLayers = 0}));
}

// The two programs carry something else, or nothing, as those that were compiled before artifacts said it.
TEST(Split, RefusesWhatCannotBeCut) {
  std::string bytes = *readText(both().artifact);
  const std::string from = R"(\"per_token\":256},\"launches\")", to = R"(\"per_token\":252},\"launches\")";
  size_t at = bytes.find(R"(\"gpu\":)"), count = 0;
  for (at = bytes.find(from, at); at != std::string::npos; at = bytes.find(from, at), count++)
    bytes.replace(at, to.size(), to);
  EXPECT_EQ(count, layers + 1);
  const fs::path path = folder() / "uncut.qm";
  std::ofstream(path, std::ios::binary) << bytes;
  EXPECT_THAT(messageOf(loadOnDevice(path, {}, {.gpuLayers = 1})),
              HasSubstr("uncut.qm: does not say what its layers carry to the next"));
}

TEST(Split, IsLostWhereTheGPUIs) {
  const auto model = loadLayers(1, {.brokenLaunch = 2});
  ASSERT_TRUE(model) << model.error().message;
  auto session = sessionOn(*model);
  EXPECT_THAT(messageOf(session->step(tokens)), HasSubstr("an illegal memory access was encountered (CUDA error 700)"));
  EXPECT_EQ(session->past(), 0);
  StandIn::get().become({});
}

} // namespace
