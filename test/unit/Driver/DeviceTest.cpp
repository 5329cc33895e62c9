//===- DeviceTest.cpp - models on a GPU that the emulator plays ---------------------------------------------------===//

#include "quantc/Runtime/CUDA/Device.h"
#include "ReferenceModel.h"
#include "cuda/StandIn.h"
#include "quantc/Driver/Compile.h"
#include "quantc/Encode/Encode.h"
#include "quantc/Runtime/Generator.h"
#include "quantc/Support/Files.h"
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <fstream>
#include <gmock/gmock.h>

using namespace quantc;
using namespace quantc::test;
using testing::HasSubstr;
namespace fs = std::filesystem;

namespace {

/// The stand-in's library, in this process before the runtime opens it.
class StandIn {
public:
  static StandIn &get() {
    static StandIn one;
    return one;
  }
  void become(const StandInGPU &gpu) { reset(&gpu); }
  StandInCounts counts() const {
    StandInCounts now;
    count(&now);
    return now;
  }
  std::string problem() const { return lastProblem(); }

private:
  StandIn() {
    void *library = ::dlopen(QUANTC_CUDA_STAND_IN, RTLD_NOW | RTLD_LOCAL);
    if (!library)
      std::fprintf(stderr, "%s\n", ::dlerror());
    reset = reinterpret_cast<decltype(reset)>(::dlsym(library, "standInReset"));
    count = reinterpret_cast<decltype(count)>(::dlsym(library, "standInCounts"));
    lastProblem = reinterpret_cast<decltype(lastProblem)>(::dlsym(library, "standInProblem"));
  }
  void (*reset)(const StandInGPU *);
  void (*count)(StandInCounts *);
  const char *(*lastProblem)();
};

const std::string spec = "int:4:g128";
const std::vector<int32_t> tokens = {1, 7, 30, 2, 45, 17, 17, 8, 21, 40, 3, 11, 0, 33, 47, 29, 12, 5, 38, 26, 14};

/// Activations are rounded to f16 before each of the products that a logit goes through: four in each of two layers
/// and the head. Each is off by 2^-11 at most; the worst is that all add up. Squared, relative to the square of the
/// logits.
const double bound = std::pow(9 * std::ldexp(1, -11), 2);

fs::path folder() {
  return fs::path(testing::TempDir()) / "device-test";
}

/// A tiny model for a processor (exact sums) and one for a GPU, whose phases the stand-in finds.
struct Compiled {
  fs::path model = folder() / "model", cpu = folder() / "cpu.qm", gpu = folder() / "gpu.qm";

  static const Compiled &get() {
    static const Compiled one;
    return one;
  }

private:
  Compiled() {
    const std::string command = "python3 " QUANTC_SOURCE_DIR "/test/Import/Inputs/make_model.py '" + model.string() +
                                "' --arch llama --hidden 256 --ffn 512 --vocab 51"; // 51 rows fill no tile
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
    CompileOptions options = {.model = model, .output = cpu, .format = spec, .precision = Precision::Exact};
    auto made = compileModel(options);
    EXPECT_TRUE(made) << made.error().message;
    CompileOptions forGPU = {.model = model, .output = gpu, .format = spec};
    forGPU.targets = {"sm_80"};
    forGPU.dumpPhases = folder() / "phases";
    made = compileModel(forGPU);
    EXPECT_TRUE(made) << made.error().message;
    ::setenv("STAND_IN_PHASES", forGPU.dumpPhases.c_str(), 1);
  }
};

Result<std::shared_ptr<const Model>> loadOnDevice(const fs::path &path, const StandInGPU &gpu = {}) {
  StandIn::get().become(gpu);
  return Model::load(path, {.device = DeviceKind::Cuda, .cudaLibrary = QUANTC_CUDA_STAND_IN});
}

std::unique_ptr<Session> sessionOn(std::shared_ptr<const Model> model, SessionOptions options = {.context = 96}) {
  auto session = Session::create(std::move(model), options);
  EXPECT_TRUE(session) << session.error().message;
  return session ? std::move(*session) : nullptr;
}

std::vector<float> logitsOf(Session &session, std::span<const int32_t> text, Rows rows) {
  auto logits = session.step(text, rows);
  EXPECT_TRUE(logits) << logits.error().message << StandIn::get().problem();
  return logits ? std::vector<float>(logits->begin(), logits->end()) : std::vector<float>();
}

/// Squared error against squared reference, over all logits.
template <typename Expected> double error(const Expected &expected, std::span<const float> actual) {
  double difference = 0, square = 0;
  size_t i = 0;
  for (const auto e : expected) {
    const double d = actual[i++] - e;
    difference += d * d;
    square += e * e;
  }
  return difference / square;
}

/// What the model means, in f64, with the values that a format gives its matrices.
std::vector<double> reference(const fs::path &path, const std::string &specification,
                              const std::vector<int32_t> &text) {
  auto catalog = Catalog::open(*dataDirectory());
  auto format = (*catalog)->format(specification);
  ReferenceModel model(path, [&](const std::string &, std::vector<float> &values, int64_t columns) {
    const int64_t rows = static_cast<int64_t>(values.size()) / columns;
    const auto fields = encode(**format, values, rows, columns);
    EXPECT_TRUE(decode(**format, *fields, rows, columns, values.data()));
  });
  std::vector<double> all;
  for (const auto &row : model.logits(text))
    all.insert(all.end(), row.begin(), row.end());
  return all;
}

std::string messageOf(const auto &result) {
  return result ? "" : result.error().message;
}

TEST(Device, GivesTheLogitsOfTheReference) {
  const auto model = loadOnDevice(Compiled::get().gpu);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ((*model)->target(), "sm_80");
  const std::vector<double> expected = reference(Compiled::get().model, spec, tokens);
  // All at once, token by token, and in steps for which there are other kernels.
  for (size_t step : {tokens.size(), size_t(1), size_t(8), size_t(9)}) {
    auto session = sessionOn(*model);
    ASSERT_TRUE(session);
    std::vector<float> all;
    for (size_t at = 0; at < tokens.size(); at += step) {
      const auto part = std::span(tokens).subspan(at, std::min(step, tokens.size() - at));
      const std::vector<float> some = logitsOf(*session, part, Rows::All);
      all.insert(all.end(), some.begin(), some.end());
    }
    ASSERT_EQ(all.size(), expected.size());
    EXPECT_LT(error(expected, all), bound) << "steps of " << step;
  }
}

struct Case {
  const char *name, *format, *arguments;
};
class DeviceModels : public testing::TestWithParam<Case> {};

// What architectures have of their own: biases, windows, tied embeddings; and other formats.
TEST_P(DeviceModels, GivesTheLogitsOfTheReference) {
  const auto &[name, format, arguments] = GetParam();
  const fs::path path = folder() / name;
  const std::string command =
      "python3 " QUANTC_SOURCE_DIR "/test/Import/Inputs/make_model.py '" + path.string() + "' --vocab 51 " + arguments;
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
  CompileOptions options = {.model = path, .output = path.string() + ".qm", .format = format};
  options.targets = {"sm_80"};
  options.dumpPhases = path.string() + "-phases";
  const auto made = compileModel(options);
  ASSERT_TRUE(made) << made.error().message;
  const std::string phases = std::getenv("STAND_IN_PHASES") ? std::getenv("STAND_IN_PHASES") : "";
  ::setenv("STAND_IN_PHASES", options.dumpPhases.c_str(), 1);
  const auto model = loadOnDevice(options.output);
  ::setenv("STAND_IN_PHASES", phases.c_str(), 1);
  ASSERT_TRUE(model) << model.error().message;
  auto session = sessionOn(*model);
  ASSERT_TRUE(session);
  std::vector<float> all = logitsOf(*session, std::span(tokens).first(11), Rows::All);
  for (size_t at : {11, 12}) {
    const std::vector<float> one = logitsOf(*session, std::span(tokens).subspan(at, 1), Rows::All);
    all.insert(all.end(), one.begin(), one.end());
  }
  EXPECT_LT(error(reference(path, format, {tokens.begin(), tokens.begin() + 13}), all), bound);
}

INSTANTIATE_TEST_SUITE_P(Architectures, DeviceModels,
                         testing::Values(Case{"tied", "q8_0", "--arch llama --ffn 128 --tied --biases"},
                                         Case{"mistral", "q4_0", "--arch mistral --ffn 128 --set sliding_window=5"},
                                         Case{"qwen2", "nf4", "--arch qwen2 --ffn 128"},
                                         Case{"wide_heads", "f16", "--arch llama --ffn 128 --head-dim 32"},
                                         Case{"qwen3", "f16", "--arch qwen3 --ffn 128"},
                                         Case{"qwen3_warp", "f16", "--arch qwen3 --ffn 128 --head-dim 32"},
                                         Case{"qwen3_wide", "q8_0", "--arch qwen3 --ffn 128 --head-dim 64"}),
                         [](const auto &info) { return std::string(info.param.name); });

TEST(Device, WritesTheTokensOfTheProcessor) {
  const auto onCPU = Model::load(Compiled::get().cpu), onGPU = loadOnDevice(Compiled::get().gpu);
  ASSERT_TRUE(onCPU && onGPU);
  std::vector<std::vector<int32_t>> texts;
  for (const auto &model : {*onCPU, *onGPU}) {
    auto session = sessionOn(model);
    ASSERT_TRUE(session);
    const auto made = generate(*session, tokens, {.maxTokens = 12, .ignoreEnd = true});
    ASSERT_TRUE(made) << made.error().message;
    texts.push_back(made->tokens);
  }
  EXPECT_EQ(texts[0].size(), 12u);
  EXPECT_EQ(texts[0], texts[1]);
}

TEST(Device, AGraphIsPlayedForEachTokenAfterTheFirst) {
  std::vector<std::vector<float>> results;
  for (bool hasGraphs : {true, false}) {
    const auto model = loadOnDevice(Compiled::get().gpu, {.hasGraphs = hasGraphs});
    ASSERT_TRUE(model) << model.error().message;
    auto session = sessionOn(*model);
    ASSERT_TRUE(session);
    std::vector<float> &all = results.emplace_back();
    for (int32_t token : std::span(tokens).first(5)) {
      const std::vector<float> logits = logitsOf(*session, {&token, 1}, Rows::Last);
      all.insert(all.end(), logits.begin(), logits.end());
    }
    EXPECT_EQ(StandIn::get().counts().graphLaunches, hasGraphs ? 4u : 0u);
    EXPECT_EQ(StandIn::get().counts().copiesToHost, 5u);
  }
  EXPECT_EQ(results[0], results[1]);
}

TEST(Device, ForgetsWhatIsRewound) {
  const auto model = loadOnDevice(Compiled::get().gpu);
  ASSERT_TRUE(model);
  auto session = sessionOn(*model);
  ASSERT_TRUE(session);
  const std::vector<float> first = logitsOf(*session, tokens, Rows::Last);
  session->reset();
  EXPECT_EQ(logitsOf(*session, tokens, Rows::Last), first);
  ASSERT_TRUE(session->rewind(12));
  EXPECT_LT(error(first, logitsOf(*session, std::span(tokens).subspan(12), Rows::Last)), bound);
  // Two sessions know nothing of each other.
  auto other = sessionOn(*model);
  logitsOf(*other, std::span(tokens).first(3), Rows::Last);
  session->reset();
  EXPECT_EQ(logitsOf(*session, tokens, Rows::Last), first);
}

TEST(Device, GivesEverythingBack) {
  {
    const auto model = loadOnDevice(Compiled::get().gpu);
    ASSERT_TRUE(model);
    auto session = sessionOn(*model);
    for (int i = 0; i < 3; i++)
      logitsOf(*session, std::span(tokens).subspan(i, 1), Rows::Last);
    EXPECT_GT(StandIn::get().counts().liveBytes, session->bufferBytes());
    EXPECT_EQ(StandIn::get().counts().modules, 1u);
  }
  EXPECT_EQ(StandIn::get().counts().liveBytes, 0u);
  EXPECT_EQ(StandIn::get().counts().liveObjects, 0u);
}

TEST(Device, SaysWhatWouldFit) {
  EXPECT_THAT(messageOf(loadOnDevice(Compiled::get().gpu, {.memory = 100'000})),
              testing::AllOf(HasSubstr("gpu.qm: its weights take"), HasSubstr("100000 are free on the GPU (stand-in)"),
                             HasSubstr("bits per weight would fit")));
  const auto model = loadOnDevice(Compiled::get().gpu, {.memory = size_t(2) << 20});
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_THAT(messageOf(Session::create(*model, {.context = 2048, .chunk = 64})),
              testing::AllOf(HasSubstr("on the GPU (stand-in): a context of 2048 positions needs"),
                             HasSubstr("positions would fit")));
  EXPECT_EQ(StandIn::get().counts().modules, 1u);
}

TEST(Device, SaysWhatIsMissing) {
  const fs::path gpu = Compiled::get().gpu, cpu = Compiled::get().cpu;
  EXPECT_THAT(messageOf(Model::load(gpu, {.device = DeviceKind::Cuda, .cudaLibrary = "libno-such-driver.so"})),
              testing::AllOf(HasSubstr("no CUDA driver: libno-such-driver.so"), HasSubstr("--device cpu")));
  EXPECT_THAT(messageOf(Model::load(gpu, {.device = DeviceKind::Cuda, .cudaLibrary = "libm.so.6"})),
              HasSubstr("it lacks cuInit"));
  EXPECT_THAT(messageOf(loadOnDevice(gpu, {.count = 0})), HasSubstr("there is no GPU 0: the CUDA driver finds 0"));
  EXPECT_THAT(
      messageOf(loadOnDevice(gpu, {.major = 7, .minor = 5})),
      HasSubstr("this GPU (stand-in, compute capability 7.5) can execute none of its targets for GPUs (sm_80)"));
  EXPECT_THAT(messageOf(loadOnDevice(gpu, {.sharedBytes = 49152})),
              HasSubstr("bytes of shared memory; a block of this GPU (stand-in) has 49152"));
  EXPECT_THAT(messageOf(loadOnDevice(cpu)), HasSubstr("cpu.qm: holds no code for GPUs"));
  EXPECT_THAT(messageOf(Model::load(gpu)), HasSubstr("gpu.qm: holds code for GPUs only"));
  StandIn::get().become({});
  EXPECT_THAT(messageOf(Model::load(
                  gpu, {.target = "sm_90a", .device = DeviceKind::Cuda, .cudaLibrary = QUANTC_CUDA_STAND_IN})),
              HasSubstr("holds no code for the GPU sm_90a; it has sm_80"));
}

/// A copy of the artifact in which a text is replaced by one of the same length.
fs::path damaged(const std::string &from, const std::string &to) {
  std::string bytes = *readText(Compiled::get().gpu);
  const size_t at = bytes.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  bytes.replace(at, to.size(), to);
  const fs::path path = folder() / "damaged.qm";
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

TEST(Device, RefusesDamagedCode) {
  EXPECT_THAT(messageOf(loadOnDevice(damaged(".entry linear_0(", ".entry linear_x("))),
              HasSubstr("damaged.qm: the code for sm_80 is damaged: its kernel \"linear_0\" is missing"));
  EXPECT_THAT(messageOf(loadOnDevice(damaged(".entry linear_0(\n", ".entry linear_0()"))),
              HasSubstr("its kernel \"linear_0\" takes 0 parameters, 5 parameters are to be passed"));
  EXPECT_THAT(messageOf(loadOnDevice(damaged(".version 8.0", std::string(12, ' ')))), HasSubstr("is no text in PTX"));
  // What the driver finds.
  EXPECT_THAT(
      messageOf(loadOnDevice(damaged("mma.sync", "mma.sink"))),
      HasSubstr("the code for sm_80 cannot be loaded on the GPU (stand-in): loading: a PTX JIT compilation failed"));
}

TEST(Device, RunsWhatItCan) {
  StandIn::get().become({.major = 8, .minor = 9});
  const auto device = cuda::Device::open(QUANTC_CUDA_STAND_IN);
  ASSERT_TRUE(device) << device.error().message;
  for (const char *chip : {"sm_80", "sm_86", "sm_89"})
    EXPECT_TRUE((*device)->runs(chip)) << chip;
  for (const char *chip : {"sm_90", "sm_89a_", "sm_90a", "sm_100", "gfx90a", "sm_"})
    EXPECT_FALSE((*device)->runs(chip)) << chip;
  EXPECT_TRUE((*device)->runsMachineCode("sm_80"));
  StandIn::get().become({.major = 9});
  const auto hopper = cuda::Device::open(QUANTC_CUDA_STAND_IN);
  EXPECT_TRUE((*hopper)->runs("sm_90a"));
  EXPECT_TRUE((*hopper)->runs("sm_80"));
  EXPECT_FALSE((*hopper)->runsMachineCode("sm_80"));
}

} // namespace
