//===- DeviceTest.cpp - models on a GPU that the emulator plays ---------------------------------------------------===//

#include "quantc/Runtime/CUDA/Device.h"
#include "DeviceModels.h"
#include "quantc/Runtime/Generator.h"
#include "quantc/Support/Files.h"
#include <cstring>
#include <fstream>
#include <regex>

using namespace quantc;
using namespace quantc::test;
using testing::HasSubstr;
namespace fs = std::filesystem;

namespace {

TEST(Device, GivesTheLogitsOfTheReference) {
  const auto model = loadOnDevice(Compiled::get().gpu);
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ((*model)->target(), "sm_80");
  const std::vector<double> expected = reference(Compiled::get().model, spec, tokens);
  // All at once, token by token, and in steps for which there are other kernels.
  for (size_t step : {tokens.size(), size_t(1), size_t(8), size_t(9)}) {
    auto session = sessionOn(*model);
    ASSERT_TRUE(session);
    const std::vector<float> all = logitsInSteps(*session, tokens, step);
    ASSERT_EQ(all.size(), expected.size());
    EXPECT_LT(error(expected, all), bound) << "steps of " << step;
  }
}

// On a GPU of compute capability 9.0 kernels may begin before the one before has ended: the emulator sees that they
// wait.
TEST(Device, KernelsOverlapWhereTheGPUCan) {
  const MadeModel made("overlapping", "--arch llama --ffn 128 --vocab 51", "q8_0", {"sm_90a", "sm_80"});
  const std::vector<double> expected = reference(made.model, "q8_0", tokens);
  for (int major : {9, 8}) {
    const auto model = loadOnDevice(made, {.major = major, .sharedBytes = 232448});
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_EQ((*model)->target(), major == 9 ? "sm_90a" : "sm_80");
    auto session = sessionOn(*model);
    ASSERT_TRUE(session);
    std::vector<float> all = logitsOf(*session, std::span(tokens).first(13), Rows::All);
    const std::vector<float> rest = logitsInSteps(*session, std::span(tokens).subspan(13), 1);
    all.insert(all.end(), rest.begin(), rest.end());
    EXPECT_LT(error(expected, all), bound);
    const StandInCounts counts = StandIn::get().counts();
    EXPECT_EQ(counts.graphLaunches, 7u);
    // Of launches that are recorded each is counted once.
    EXPECT_EQ(counts.overlapping > 0, major == 9);
  }
}

struct Case {
  const char *name, *format, *arguments;
};
class DeviceModels : public testing::TestWithParam<Case> {};

// What architectures have of their own: biases, windows, tied embeddings; and other formats.
TEST_P(DeviceModels, GivesTheLogitsOfTheReference) {
  const auto &[name, format, arguments] = GetParam();
  const MadeModel made(name, std::string("--vocab 51 ") + arguments, format, {"sm_80"});
  const auto model = loadOnDevice(made);
  ASSERT_TRUE(model) << model.error().message;
  auto session = sessionOn(*model);
  ASSERT_TRUE(session);
  std::vector<float> all = logitsOf(*session, std::span(tokens).first(11), Rows::All);
  for (size_t at : {11, 12}) {
    const std::vector<float> one = logitsOf(*session, std::span(tokens).subspan(at, 1), Rows::All);
    all.insert(all.end(), one.begin(), one.end());
  }
  EXPECT_LT(error(reference(made.model, format, {tokens.begin(), tokens.begin() + 13}), all), bound);
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

// A KV cache in a format: as far from the reference, which rounds no cache, as exact sums of a processor are with it.
TEST(Device, KeepsTheCacheInAFormat) {
  const std::vector<double> expected = reference(Compiled::get().model, spec, tokens);
  CompileOptions options = {.model = Compiled::get().model, .output = folder() / "kv-cpu.qm", .format = spec};
  options.kv = "q8_0";
  options.precision = Precision::Exact;
  auto made = compileModel(options);
  ASSERT_TRUE(made) << made.error().message;
  const auto onCPU = Model::load(options.output);
  ASSERT_TRUE(onCPU) << onCPU.error().message;
  const double ofProcessor = error(expected, logitsOf(*sessionOn(*onCPU), tokens, Rows::All));

  options.output = folder() / "kv-gpu.qm";
  options.precision = Precision::Fast;
  options.targets = {"sm_80"};
  options.dumpPhases = folder() / "kv-phases";
  made = compileModel(options);
  ASSERT_TRUE(made) << made.error().message;
  const auto onGPU = loadOnDevice(MadeModel(options));
  ASSERT_TRUE(onGPU) << onGPU.error().message;
  for (size_t step : {tokens.size(), size_t(1), size_t(8)}) {
    auto session = sessionOn(*onGPU);
    std::vector<float> all;
    for (size_t at = 0; at < tokens.size(); at += step) {
      const auto part = std::span(tokens).subspan(at, std::min(step, tokens.size() - at));
      const std::vector<float> some = logitsOf(*session, part, Rows::All);
      all.insert(all.end(), some.begin(), some.end());
    }
    ASSERT_EQ(all.size(), expected.size());
    EXPECT_LT(error(expected, all), 2 * ofProcessor + bound) << "steps of " << step;
  }
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

/// Logits of a step of each number of tokens, each from the beginning.
std::vector<std::vector<float>> logitsOfSizes(Session &session, int64_t most, Rows rows) {
  std::vector<std::vector<float>> all;
  for (int64_t size = 1; size <= most; size++) {
    session.reset();
    all.push_back(logitsOf(session, std::span(tokens).first(static_cast<size_t>(size)), rows));
  }
  return all;
}

TEST(Device, EachSizeOfAStepIsRecordedOnce) {
  const auto model = loadOnDevice(Compiled::get().gpu);
  ASSERT_TRUE(model) << model.error().message;
  auto session = sessionOn(*model);
  ASSERT_TRUE(session);
  const auto expected = logitsOfSizes(*session, 9, Rows::Last); // launched one by one
  EXPECT_EQ(StandIn::get().counts().graphs, 0u);
  for (size_t round = 1; round <= 3; round++) {
    EXPECT_EQ(logitsOfSizes(*session, 9, Rows::Last), expected);
    EXPECT_EQ(StandIn::get().counts().graphs, 8u); // not of 9 tokens
    EXPECT_EQ(StandIn::get().counts().graphLaunches, 8 * round);
  }
}

TEST(Device, GraphsAreForgottenForOthers) {
  const auto model = loadOnDevice(Compiled::get().gpu);
  ASSERT_TRUE(model) << model.error().message;
  auto session = sessionOn(*model);
  ASSERT_TRUE(session);
  logitsOf(*session, std::span(tokens).first(9), Rows::All); // too many for a graph
  const size_t without = StandIn::get().counts().liveObjects;
  const auto last = logitsOfSizes(*session, 8, Rows::Last), all = logitsOfSizes(*session, 8, Rows::All);
  // 15 sizes: all rows of one token are its last. Twice each of the rows, so that the later ones push the others out.
  for (int round = 0; round < 2; round++)
    for (int i = 0; i < 2; i++) {
      EXPECT_EQ(logitsOfSizes(*session, 8, Rows::Last), last);
      EXPECT_LE(StandIn::get().counts().liveObjects, without + 8);
    }
  const size_t ofLast = StandIn::get().counts().graphs;
  for (int i = 0; i < 2; i++)
    EXPECT_EQ(logitsOfSizes(*session, 8, Rows::All), all);
  EXPECT_GE(StandIn::get().counts().graphs, ofLast + 7);
  EXPECT_LE(StandIn::get().counts().liveObjects, without + 8);
}

TEST(Device, SaysWhereThereIsNoGraph) {
  const auto expected = [] {
    auto session = sessionOn(*loadOnDevice(Compiled::get().gpu));
    logitsOf(*session, std::span(tokens).first(2), Rows::Last);
    return logitsOf(*session, std::span(tokens).subspan(2, 1), Rows::Last);
  }();
  for (const StandInGPU &gpu : {StandInGPU{.hasGraphs = false}, StandInGPU{.instantiates = false}}) {
    std::vector<std::string> notes;
    const auto note = [&](const std::string &line) { notes.push_back(line); };
    const auto model = loadOnDevice(Compiled::get().gpu, gpu, {.note = note});
    ASSERT_TRUE(model) << model.error().message;
    auto session = sessionOn(*model);
    ASSERT_TRUE(session);
    for (int i = 0; i < 4; i++) {
      session->reset();
      logitsOf(*session, std::span(tokens).first(2), Rows::Last);
      EXPECT_EQ(logitsOf(*session, std::span(tokens).subspan(2, 1), Rows::Last), expected);
    }
    EXPECT_EQ(StandIn::get().counts().graphLaunches, 0u);
    EXPECT_THAT(notes, testing::ElementsAre(HasSubstr("a step is launched kernel by kernel")));
  } // the session goes without destroying what was never made
}

TEST(Device, WaitsAfterALaunchThatFailed) {
  const auto model = loadOnDevice(Compiled::get().gpu);
  ASSERT_TRUE(model);
  auto session = sessionOn(*model);
  const std::vector<float> expected = logitsOf(*session, std::span(tokens).first(3), Rows::Last);
  session->reset();
  StandIn::get().become({.refusedLaunch = 5});
  EXPECT_THAT(messageOf(session->step(std::span(tokens).first(4))), HasSubstr("invalid argument"));
  EXPECT_EQ(StandIn::get().counts().waiting, 0u);
  EXPECT_EQ(logitsOf(*session, std::span(tokens).first(3), Rows::Last), expected);
}

TEST(Device, IsLostWhenAKernelBreaksIt) {
  for (bool synchronize : {false, true}) {
    const auto model = loadOnDevice(Compiled::get().gpu, {.brokenLaunch = 3}, {.synchronize = synchronize});
    ASSERT_TRUE(model);
    auto session = sessionOn(*model);
    EXPECT_THAT(messageOf(session->step(tokens)),
                testing::AllOf(HasSubstr("an illegal memory access was encountered (CUDA error 700)"),
                               HasSubstr(synchronize ? "stage block.0: " : "--cuda-sync")));
    EXPECT_THAT(messageOf(session->step(tokens)), HasSubstr("the GPU has been lost in an earlier step ("));
  }
  StandIn::get().become({});
}

TEST(Device, LeavesTheContextOfOthers) {
  StandIn &standIn = StandIn::get();
  standIn.become({});
  const auto device = cuda::Device::open(QUANTC_CUDA_STAND_IN);
  ASSERT_TRUE(device);
  auto *getCurrent = standIn.function<int(void **)>("cuCtxGetCurrent");
  void *mine = nullptr, *now = nullptr;
  const auto current = (*device)->makeCurrent(); // as of another library
  getCurrent(&mine);
  EXPECT_NE(mine, nullptr);
  EXPECT_TRUE((*device)->memory());
  standIn.become({.hasContext = false});
  EXPECT_THAT(messageOf((*device)->memory()), HasSubstr("using the GPU: invalid device context"));
  getCurrent(&now);
  EXPECT_EQ(now, mine);
  standIn.become({});
}

TEST(Device, PinsTheRowsThatAreWanted) {
  const auto model = loadOnDevice(Compiled::get().gpu);
  ASSERT_TRUE(model);
  auto session = sessionOn(*model, {.context = 96, .chunk = 64});
  ASSERT_TRUE(session);
  const size_t row = 51 * sizeof(float), rest = sizeof(int64_t) + 64 * sizeof(int32_t);
  logitsOf(*session, tokens, Rows::Last);
  EXPECT_EQ(StandIn::get().counts().pinnedBytes, rest + row);
  logitsOf(*session, std::span(tokens).first(7), Rows::All);
  EXPECT_EQ(StandIn::get().counts().pinnedBytes, rest + 7 * row);
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
  // 256 MiB and a fiftieth are left to the driver.
  EXPECT_THAT(messageOf(loadOnDevice(Compiled::get().gpu, {.memory = 274'015'771})),
              testing::AllOf(HasSubstr("gpu.qm: its weights take"), HasSubstr("100000 can be used on the GPU"),
                             HasSubstr("bits per weight would fit")));
  const auto model = loadOnDevice(Compiled::get().gpu, {.memory = 276'053'682});
  ASSERT_TRUE(model) << model.error().message;
  const std::string message = messageOf(Session::create(*model, {.context = 2048, .chunk = 64}));
  EXPECT_THAT(message, HasSubstr("on the GPU (stand-in): a context of 2048 positions needs"));
  std::smatch found;
  ASSERT_TRUE(std::regex_search(message, found, std::regex("([0-9]+) positions would fit"))) << message;
  auto session = sessionOn(*model, {.context = std::stol(found[1]), .chunk = 64});
  ASSERT_TRUE(session);
  EXPECT_EQ(logitsOf(*session, std::span(tokens).first(1), Rows::Last).size(), 51u);
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

TEST(Device, StaysLoadedAndIsFoundBesideTheSystem) {
  fs::create_directories(folder());
  const fs::path copy = folder() / "libcuda-elsewhere.so.1";
  fs::copy_file(QUANTC_CUDA_STAND_IN, copy, fs::copy_options::overwrite_existing);
  const std::string none = folder() / "none", there = folder();
  const char *folders[] = {none.c_str(), there.c_str()};
  EXPECT_THAT(messageOf(cuda::Driver::open(copy.filename())), HasSubstr("no CUDA driver: libcuda-elsewhere.so.1"));
  {
    const auto driver = cuda::Driver::open(copy.filename(), folders);
    ASSERT_TRUE(driver) << driver.error().message;
  }
  EXPECT_NE(::dlopen(copy.c_str(), RTLD_NOW | RTLD_NOLOAD), nullptr);
}

TEST(Device, IsDescribedWithoutAContext) {
  StandIn::get().become({.major = 9});
  const auto gpu = cuda::DeviceProperties::of(QUANTC_CUDA_STAND_IN);
  ASSERT_TRUE(gpu) << gpu.error().message;
  EXPECT_EQ(gpu->name(), "stand-in");
  EXPECT_TRUE(gpu->runs("sm_90a"));
  EXPECT_EQ(StandIn::get().counts().contexts, 0u);
}

TEST(Device, SaysThatMachineCodeDoesNotLoad) {
  CompileOptions options = {.model = Compiled::get().model, .output = folder() / "cubin.qm", .format = spec};
  options.targets = {"sm_80"};
  options.cubin = true;
  if (const auto made = compileModel(options); !made)
    GTEST_SKIP() << made.error().message;
  std::vector<std::string> notes;
  const auto note = [&](const std::string &line) { notes.push_back(line); };
  ASSERT_TRUE(loadOnDevice(options.output, {}, {.note = note})); // which takes no machine code
  EXPECT_THAT(notes, testing::ElementsAre(testing::AllOf(HasSubstr("no kernel image is available"),
                                                         HasSubstr("the driver compiles the PTX instead"))));
}

/// What the stand-in is there for: that it is no kinder than a driver.
TEST(Device, IsNoKinderThanADriver) {
  StandIn &standIn = StandIn::get();
  standIn.become({});
  const auto device = cuda::Device::open(QUANTC_CUDA_STAND_IN);
  ASSERT_TRUE(device);
  const cuda::Driver &d = (*device)->driver();
  const auto current = (*device)->makeCurrent();
  auto memory = cuda::DeviceMemory::allocate(*device, 64);
  auto pinned = cuda::PinnedMemory::allocate(*device, 64);
  cuda::Stream stream;
  ASSERT_TRUE(memory && pinned && d.streamCreate(&stream, cuda::NonBlocking) == 0);
  auto *bytes = reinterpret_cast<unsigned char *>(memory->address());
  unsigned char value = 1;
  // A copy from memory that is not pinned lands late, with what was there.
  EXPECT_EQ(d.copyToDevice(memory->address(), &value, 1), 0);
  value = 2;
  EXPECT_EQ(d.streamSynchronize(stream), 0); // does not wait for it
  EXPECT_EQ(bytes[0], 0xff);
  EXPECT_EQ(d.contextSynchronize(), 0);
  EXPECT_EQ(bytes[0], 1);
  // From pinned memory it takes what is there then.
  pinned->data()[0] = std::byte(3);
  EXPECT_EQ(d.copyToDeviceAsync(memory->address(), pinned->data(), 1, stream), 0);
  pinned->data()[0] = std::byte(4);
  EXPECT_EQ(d.streamSynchronize(stream), 0);
  EXPECT_EQ(bytes[0], 4);
  // What a recording takes, and what spoils it.
  cuda::Graph graph = nullptr;
  EXPECT_EQ(d.beginCapture(stream, cuda::CaptureThreadLocal), 0);
  EXPECT_EQ(d.fillAsync(memory->address(), 5, 1, stream), 0);
  EXPECT_EQ(d.endCapture(stream, &graph), 0);
  EXPECT_EQ(bytes[0], 4);
  ASSERT_NE(graph, nullptr);
  d.graphDestroy(graph);
  cuda::Address more;
  const std::function<int()> refused[] = {[&] { return d.copyToDevice(memory->address(), &value, 1); },
                                          [&] { return d.memAlloc(&more, 64); }, [&] { return d.contextSynchronize(); },
                                          [&] { return d.streamSynchronize(stream); }};
  for (const auto &call : refused) {
    EXPECT_EQ(d.beginCapture(stream, cuda::CaptureThreadLocal), 0);
    EXPECT_EQ(call(), 900);
    EXPECT_EQ(d.endCapture(stream, &graph), 901);
    EXPECT_EQ(graph, nullptr);
  }
  // Of what is free not all can be had.
  const auto info = (*device)->memory();
  ASSERT_TRUE(info);
  EXPECT_EQ(d.memAlloc(&more, info->free), cuda::OutOfMemory);
  d.streamDestroy(stream);
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
