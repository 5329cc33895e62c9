//===- DeviceActivationsTest.cpp - programs for GPUs whose products read bf16 -------------------------------------===//

#include "DeviceModels.h"
#include "quantc/Support/Files.h"
#include <cmath>

using namespace quantc;
using namespace quantc::test;
using testing::HasSubstr;
using testing::Not;

namespace {

CompileOptions optionsFor(const std::string &name, const std::string &activations) {
  CompileOptions options = {.model = Compiled::get().model, .output = folder() / (name + ".qm"), .format = spec};
  options.targets = {"sm_80", "sm_90a"};
  options.activations = activations;
  options.dumpPhases = folder() / (name + "-phases");
  return options;
}

// Numbers of bf16 have 8 bits where those of f16 have 11; on both architectures.
TEST(DeviceActivations, MayBeBF16) {
  const CompileOptions options = optionsFor("bf16", "bf16");
  const auto made = compileModel(options);
  ASSERT_TRUE(made) << made.error().message;
  const std::string code = *readText(options.output);
  EXPECT_THAT(code, HasSubstr("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32"));
  EXPECT_THAT(code, Not(HasSubstr("row.col.f32.f16.f16.f32")));
  const std::vector<int32_t> text(tokens.begin(), tokens.begin() + 9);
  const std::vector<double> expected = reference(Compiled::get().model, spec, text);
  const double ofBF16 = bound * std::ldexp(1, 2 * (11 - 8));
  for (int major : {8, 9}) {
    const auto model = loadOnDevice(MadeModel(options), {.major = major, .sharedBytes = 232448});
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_EQ((*model)->target(), major == 9 ? "sm_90a" : "sm_80");
    for (size_t step : {9, 8}) { // for any number of tokens; for up to 8, and for one
      auto session = sessionOn(*model);
      EXPECT_LT(error(expected, logitsInSteps(*session, text, step)), ofBF16) << "steps of " << step;
    }
  }
}

TEST(DeviceActivations, AreOfGPUs) {
  EXPECT_THAT(messageOf(compileModel(optionsFor("refused", "f8"))),
              HasSubstr("activations are f16 or bf16, not \"f8\""));
  CompileOptions options = optionsFor("refused", "bf16");
  options.targets = {"x86-64-v3"};
  EXPECT_THAT(messageOf(compileModel(options)),
              HasSubstr("activations are chosen for GPUs, and none is among the targets"));
}

} // namespace
