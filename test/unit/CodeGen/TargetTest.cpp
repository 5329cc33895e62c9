//===- TargetTest.cpp - files of targets/ -----------------------------------------------------------------------===//

#include "quantc/CodeGen/Target.h"
#include "quantc/Support/Files.h"
#include <fstream>
#include <gmock/gmock.h>

using namespace quantc;
using testing::EndsWith;
using testing::HasSubstr;

namespace {

TEST(Target, AllFilesLoadInOrderOfRank) {
  auto targets = Target::all(QUANTC_SOURCE_DIR);
  ASSERT_TRUE(targets) << targets.error().message;
  EXPECT_GE(targets->size(), 2u);
  for (size_t i = 1; i < targets->size(); i++)
    EXPECT_LE((*targets)[i - 1].rank, (*targets)[i].rank);
}

TEST(Target, UnknownNameListsTheOthers) {
  auto target = Target::find("pdp-11", QUANTC_SOURCE_DIR);
  ASSERT_FALSE(target);
  EXPECT_THAT(target.error().message, HasSubstr("there is no target 'pdp-11'; there are "));
  EXPECT_FALSE(Target::find("../targets/x", QUANTC_SOURCE_DIR));
}

class TargetFile : public testing::Test {
protected:
  Result<Target> load(const std::string &text) {
    const auto path = std::filesystem::path(testing::TempDir()) / "target.json";
    std::ofstream(path) << text;
    return Target::load(path);
  }
};

TEST_F(TargetFile, SaysWhatIsMissing) {
  EXPECT_THAT(load("{").error().message, HasSubstr("not a JSON object: no valid JSON"));
  EXPECT_THAT(load("[]").error().message, EndsWith("not a JSON object"));
  EXPECT_THAT(load("{}").error().message, EndsWith("'triple' is missing"));
  EXPECT_THAT(load(R"({"triple": 3})").error().message, EndsWith("'triple' has a wrong type or value"));
}

} // namespace
