//===- TargetTest.cpp - files of targets/ -----------------------------------------------------------------------===//

#include "quantc/Target/Target.h"
#include "quantc/Target/GPUTarget.h"
#include <fstream>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

using namespace quantc;
using nlohmann::json;
using testing::EndsWith;
using testing::HasSubstr;

namespace {

const std::filesystem::path source = QUANTC_SOURCE_DIR;

TEST(Target, AllFilesLoadInOrderOfRank) {
  auto targets = Target::all(source);
  ASSERT_TRUE(targets) << targets.error().message;
  EXPECT_GE(targets->size(), 2u);
  for (size_t i = 1; i < targets->size(); i++)
    EXPECT_LE((*targets)[i - 1].rank, (*targets)[i].rank);
}

TEST(Target, UnknownNameListsTheOthers) {
  auto target = Target::find("pdp-11", source);
  ASSERT_FALSE(target);
  EXPECT_THAT(target.error().message, HasSubstr("there is no target 'pdp-11'; there are "));
  EXPECT_FALSE(Target::find("../targets/x", source));
}

TEST(GPUTarget, AllFilesLoadInOrderOfRank) {
  auto targets = GPUTarget::all(source);
  ASSERT_TRUE(targets) << targets.error().message;
  EXPECT_GE(targets->size(), 2u);
  for (size_t i = 1; i < targets->size(); i++)
    EXPECT_LE((*targets)[i - 1].rank, (*targets)[i].rank);
  EXPECT_THAT(GPUTarget::find("pdp-11", source).error().message, HasSubstr("there is no GPU 'pdp-11'; there are sm_"));
}

class TargetFile : public testing::Test {
protected:
  template <typename T> Result<T> load(const std::string &text) {
    const auto path = std::filesystem::path(testing::TempDir()) / "target.json";
    std::ofstream(path) << text;
    return T::load(path);
  }
  /// The message of a target file of the project with one value changed, or the empty text where it still loads.
  template <typename T> std::string changed(const char *name, const char *pointer, const json &value) {
    json root = json::parse(std::ifstream(source / "targets" / (std::string(name) + ".json")));
    root[json::json_pointer(pointer)] = value;
    const auto target = load<T>(root.dump());
    return target ? "" : target.error().message;
  }
};

TEST_F(TargetFile, SaysWhatIsMissing) {
  EXPECT_THAT(load<Target>("{").error().message, HasSubstr("not a JSON object: no valid JSON"));
  EXPECT_THAT(load<Target>("[]").error().message, EndsWith("not a JSON object"));
  EXPECT_THAT(load<Target>("{}").error().message, EndsWith("target.json: 'triple' is missing"));
  EXPECT_THAT(load<GPUTarget>("{}").error().message, EndsWith("target.json: 'chip' is missing"));
}

TEST_F(TargetFile, RefusesWrongTypesAndValues) {
  const auto processor = [&](const char *pointer, const json &value) {
    return changed<Target>("x86-64-v3", pointer, value);
  };
  EXPECT_EQ(processor("/rank", 7), "");
  EXPECT_THAT(processor("/triple", 3), EndsWith("'triple' is no text"));
  EXPECT_THAT(processor("/features", {"+fma", 3}), EndsWith("'features' is no list of texts"));
  EXPECT_THAT(processor("/storage", 16), EndsWith("'storage.rows' is missing"));
  for (const json &value : {json(0), json(-1), json(1.5), json("8"), json(UINT64_MAX), json((1 << 20) + 1)})
    EXPECT_THAT(processor("/tiles/tokens", value), EndsWith("'tiles.tokens' is no positive number, of 2^20 at most"));
  EXPECT_THAT(processor("/lanes", 7), HasSubstr("'lanes' divides the rows of a block"));
  EXPECT_THAT(processor("/dot", {"a", "b", "c"}), HasSubstr("'dot' has at most two intrinsics"));
  EXPECT_THAT(processor("/dot_is_signed", 1), HasSubstr("'dot_is_signed' is neither true nor false"));
  EXPECT_THAT(changed<Target>("x86-64-v3", "/dot_is_signed", true),
              HasSubstr("'dot_is_signed' is about one intrinsic"));
}

TEST_F(TargetFile, MatrixUnitsAreWhole) {
  const auto unit = [&](const char *pointer, const json &value) {
    return changed<Target>("x86-64-v4-amx", pointer, value);
  };
  EXPECT_EQ(unit("/matrix/tokens", 32), "");
  EXPECT_THAT(unit("/matrix/tokens", 0), HasSubstr("'matrix.tokens' is no positive number"));
  EXPECT_THAT(unit("/matrix/load", 3), EndsWith("'matrix.load' is no text"));
  EXPECT_THAT(unit("/matrix", json::object()), EndsWith("'matrix.tokens' is missing"));
  EXPECT_THAT(unit("/halves", 3), EndsWith("'halves' is no text"));
}

TEST_F(TargetFile, GPUsHaveTilesThatDivide) {
  const auto gpu = [&](const char *pointer, const json &value) { return changed<GPUTarget>("sm_80", pointer, value); };
  EXPECT_EQ(gpu("/rank", 7), "");
  EXPECT_THAT(gpu("/family", "rocm"), HasSubstr("describes no GPU of the family 'cuda'"));
  EXPECT_THAT(gpu("/storage/rows", 8), HasSubstr("'storage.rows' must be 16"));
  EXPECT_THAT(gpu("/tiled/stages", 1), HasSubstr("must divide those of blocks, in 2 stages or more"));
  EXPECT_THAT(gpu("/tiled/warp_tokens", 48), HasSubstr("must divide those of blocks"));
  EXPECT_THAT(gpu("/stream/tokens", 4), HasSubstr("must divide those of blocks"));
}

TEST_F(TargetFile, KindsAreNotMixedUp) {
  EXPECT_THAT(Target::find("sm_80", source).error().message, HasSubstr("sm_80 is a GPU"));
  EXPECT_THAT(GPUTarget::find("x86-64-v3", source).error().message, HasSubstr("'chip' is missing"));
}

} // namespace
