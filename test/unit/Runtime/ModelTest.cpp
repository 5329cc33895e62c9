#include "ToyArtifact.h"
#include <gmock/gmock.h>

using namespace quantc;
using nlohmann::ordered_json;

namespace {

/// The toy model with targets of these names and features, in this order, all with the same code.
ordered_json withTargets(const std::vector<std::pair<std::string, std::vector<std::string>>> &targets) {
  ordered_json manifest = toy::manifest();
  manifest["targets"].clear();
  for (const auto &[name, features] : targets) {
    manifest["targets"][name] = {{"code", "code.plain"}, {"features", features}};
    for (ordered_json &kernel : manifest["kernels"])
      kernel["entry"][name] = kernel["entry"]["plain"];
  }
  for (ordered_json &kernel : manifest["kernels"])
    kernel["entry"].erase("plain");
  return manifest;
}

std::string targetOf(const ordered_json &manifest, const std::string &asked = {}) {
  const auto model = Model::load(toy::write(manifest), {.target = asked});
  EXPECT_TRUE(model) << model.error().message;
  return model ? (*model)->target() : "";
}

/// Why the artifact cannot be loaded, without its path.
std::string messageOf(const ordered_json &manifest, const std::string &asked = {}) {
  const auto path = toy::write(manifest);
  const auto model = Model::load(path, {.target = asked});
  if (model)
    return "";
  EXPECT_THAT(model.error().message, ::testing::StartsWith(path.string() + ": "));
  return model.error().message.substr(path.string().size() + 2);
}

} // namespace

TEST(Model, KnowsItsManifest) {
  const auto model = *Model::load(toy::write(toy::manifest()));
  EXPECT_EQ(model->context(), toy::context);
  EXPECT_EQ(model->vocab(), toy::vocab);
  EXPECT_EQ(model->endTokens(), std::vector<int32_t>{2});
  EXPECT_EQ(model->target(), "plain");
}

// Names sort the other way round than the manifest has them.
TEST(Model, TakesTheBestTargetThatTheProcessorExecutes) {
  EXPECT_EQ(targetOf(withTargets({{"z", {}}, {"y", {}}})), "y");
  EXPECT_EQ(targetOf(withTargets({{"z", {}}, {"y", {}}, {"x", {"telepathy"}}})), "y");
  EXPECT_EQ(targetOf(withTargets({{"z", {}}, {"y", {"telepathy"}}})), "z");
}

TEST(Model, TakesTheTargetAskedFor) {
  const ordered_json manifest = withTargets({{"z", {}}, {"y", {}}, {"x", {"telepathy"}}});
  EXPECT_EQ(targetOf(manifest, "z"), "z");
  EXPECT_THAT(messageOf(manifest, "x"),
              ::testing::StartsWith("the code for x needs telepathy, which this processor ("));
  EXPECT_EQ(messageOf(manifest, "w"), "holds no code for w; it has z, y, x");
}

TEST(Model, RefusesWhereNoTargetFits) {
  EXPECT_THAT(messageOf(withTargets({{"z", {"telepathy"}}, {"y", {"levitation"}}})),
              ::testing::EndsWith("can execute none of its targets (z, y); compile for the level of this machine"));
}

TEST(Model, RefusesEntriesOutsideTheCode) {
  for (int function : {0, 1}) {
    ordered_json manifest = toy::manifest();
    manifest["kernels"][1]["entry"]["plain"][function] = 1 << 20;
    EXPECT_NE(messageOf(manifest), "");
  }
  ordered_json manifest = toy::manifest();
  manifest["kernels"][1]["entry"].erase("plain");
  EXPECT_NE(messageOf(manifest), "");
}

TEST(Model, RefusesBuffersThatAreTooSmall) {
  ordered_json manifest = toy::manifest();
  manifest["buffers"][0]["per_token"] = 3;
  EXPECT_EQ(messageOf(manifest), "its buffer of tokens is too small for i32 ids");
  manifest = toy::manifest();
  manifest["buffers"][4]["per_token"] = 4 * toy::vocab - 1;
  EXPECT_EQ(messageOf(manifest), "its buffer of logits is too small for one row of 32 tokens");
}

// Whatever is wrong in a manifest, the answer is an error of one line.
TEST(Model, RefusesDamagedManifests) {
  const std::vector<std::pair<std::string, ordered_json>> damages = {
      {"/version", 99},
      {"/model/vocab", 0},
      {"/model/vocab", -5},
      {"/model/vocab", int64_t(1) << 40},
      {"/model/context", 0},
      {"/model/context", "many"},
      {"/targets/plain/code", "code.missing"},
      {"/weights/0/tensor", "weight.missing"},
      {"/kernels", ordered_json::array()},
      {"/buffers/2/per_context", -64},
      {"/buffers", 7},
      {"/stages/0/launches/0/kernel", 4},
      {"/stages/0/launches/0/kernel", -1},
      {"/stages/0/launches/0/args/0/1", 5},
      {"/stages/0/launches/0/args/1/1", 1},
      {"/stages/0/launches/0/args/3/1", "weather"},
      {"/stages/0/launches/0/args/0/0", "thing"},
      {"/inputs/tokens", 5},
      {"/outputs/logits", -1},
      {"/outputs", nullptr},
  };
  for (const auto &[pointer, value] : damages) {
    ordered_json manifest = toy::manifest();
    manifest[ordered_json::json_pointer(pointer)] = value;
    const std::string message = messageOf(manifest);
    EXPECT_NE(message, "") << pointer << " = " << value;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
}
