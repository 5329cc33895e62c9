//===- DeviceModels.cpp - models for a GPU that the emulator plays ------------------------------------------------===//

#include "DeviceModels.h"
#include "ReferenceModel.h"
#include "quantc/Encode/Encode.h"
#include "quantc/Support/Files.h"
#include <cmath>
#include <cstdlib>

using namespace quantc;
using namespace quantc::test;
namespace fs = std::filesystem;

//===- The stand-in --------------------------------------------------------------------------------------------===//

StandIn &StandIn::get() {
  static StandIn one;
  return one;
}

StandIn::StandIn() {
  library = ::dlopen(QUANTC_CUDA_STAND_IN, RTLD_NOW | RTLD_LOCAL);
  if (!library)
    std::fprintf(stderr, "%s\n", ::dlerror());
  reset = function<void(const StandInGPU *)>("standInReset");
  count = function<void(StandInCounts *)>("standInCounts");
  lastProblem = function<const char *()>("standInProblem");
}

StandInCounts StandIn::counts() const {
  StandInCounts now;
  count(&now);
  return now;
}

//===- Models --------------------------------------------------------------------------------------------------===//

const std::string test::spec = "int:4:g128";
const std::vector<int32_t> test::tokens = {1, 7, 30, 2, 45, 17, 17, 8, 21, 40, 3, 11, 0, 33, 47, 29, 12, 5, 38, 26, 14};
const double test::bound = std::pow(9 * std::ldexp(1, -11), 2);

fs::path test::folder() {
  return fs::path(testing::TempDir()) / "device-test";
}

static void makeModel(const fs::path &path, const std::string &arguments) {
  const std::string command =
      "python3 " QUANTC_SOURCE_DIR "/test/Import/Inputs/make_model.py '" + path.string() + "' " + arguments;
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
}

static void compile(const CompileOptions &options) {
  const auto made = compileModel(options);
  EXPECT_TRUE(made) << made.error().message;
}

MadeModel::MadeModel(const std::string &name, const std::string &arguments, const std::string &format,
                     const std::vector<std::string> &targets)
    : model(folder() / name), artifact(model.string() + ".qm"), phases(model.string() + "-phases") {
  makeModel(model, arguments);
  CompileOptions options = {.model = model, .output = artifact, .format = format};
  options.targets = targets;
  options.dumpPhases = phases;
  compile(options);
}

const Compiled &Compiled::get() {
  static const Compiled one;
  return one;
}

Compiled::Compiled() {
  makeModel(model, "--arch llama --hidden 256 --ffn 512 --vocab 51"); // 51 rows fill no tile
  compile({.model = model, .output = cpu, .format = spec, .precision = Precision::Exact});
  CompileOptions forGPU = {.model = model, .output = gpu, .format = spec};
  forGPU.targets = {"sm_80"};
  forGPU.dumpPhases = folder() / "phases";
  compile(forGPU);
  ::setenv("STAND_IN_PHASES", forGPU.dumpPhases.c_str(), 1);
}

Result<std::shared_ptr<const Model>> test::loadOnDevice(const fs::path &path, const StandInGPU &gpu,
                                                        LoadOptions options) {
  StandIn::get().become(gpu);
  options.device = DeviceKind::Cuda;
  options.cudaLibrary = QUANTC_CUDA_STAND_IN;
  return Model::load(path, options);
}

Result<std::shared_ptr<const Model>> test::loadOnDevice(const MadeModel &made, const StandInGPU &gpu,
                                                        const LoadOptions &options) {
  const std::string before = std::getenv("STAND_IN_PHASES") ? std::getenv("STAND_IN_PHASES") : "";
  ::setenv("STAND_IN_PHASES", made.phases.c_str(), 1);
  auto model = loadOnDevice(made.artifact, gpu, options);
  ::setenv("STAND_IN_PHASES", before.c_str(), 1);
  return model;
}

//===- Logits --------------------------------------------------------------------------------------------------===//

std::unique_ptr<Session> test::sessionOn(std::shared_ptr<const Model> model, SessionOptions options) {
  auto session = Session::create(std::move(model), options);
  EXPECT_TRUE(session) << session.error().message;
  return session ? std::move(*session) : nullptr;
}

std::vector<float> test::logitsOf(Session &session, std::span<const int32_t> text, Rows rows) {
  auto logits = session.step(text, rows);
  EXPECT_TRUE(logits) << logits.error().message << StandIn::get().problem();
  return logits ? std::vector<float>(logits->begin(), logits->end()) : std::vector<float>();
}

std::vector<float> test::logitsInSteps(Session &session, std::span<const int32_t> text, size_t step) {
  std::vector<float> all;
  for (size_t at = 0; at < text.size(); at += step) {
    const std::vector<float> some = logitsOf(session, text.subspan(at, std::min(step, text.size() - at)), Rows::All);
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

std::vector<double> test::reference(const fs::path &path, const std::string &specification,
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
