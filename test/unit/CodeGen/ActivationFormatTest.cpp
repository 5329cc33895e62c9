//===- ActivationFormatTest.cpp - formats/activations.json ------------------------------------------------------===//

#include "quantc/Dialect/QF/Activations.h"
#include "quantc/Format/Format.h"
#include <fstream>
#include <gmock/gmock.h>

using namespace quantc;
using qf::ActivationFormat;
using testing::EndsWith;

namespace {

TEST(ActivationFormat, NamesAFormatOfTheCatalog) {
  const auto format = ActivationFormat::load(QUANTC_SOURCE_DIR);
  ASSERT_TRUE(format) << format.error().message;
  const auto catalog = Catalog::open(QUANTC_SOURCE_DIR);
  for (const qf::ActivationGroups groups : {qf::ActivationGroups{32, 32}, {256, 16, 16}}) {
    const auto named = (*catalog)->format(format->spec(groups));
    ASSERT_TRUE(named) << named.error().message;
    EXPECT_EQ((*named)->block()->columns, groups.group);
    EXPECT_EQ((*named)->field("sums")->columns, groups.sum);
    EXPECT_EQ((*named)->field("sums")->width, groups.width);
  }
}

TEST(ActivationFormat, SaysWhatIsWrong) {
  const auto data = std::filesystem::path(testing::TempDir()) / "activation-format";
  std::filesystem::create_directories(data / "formats");
  for (const char *text : {"{}", R"({"integer": 8})", "[]", "{"}) {
    std::ofstream(data / "formats/activations.json") << text;
    EXPECT_FALSE(ActivationFormat::load(data)) << text;
  }
  std::ofstream(data / "formats/activations.json") << "{}";
  EXPECT_THAT(ActivationFormat::load(data).error().message,
              EndsWith("activations.json: 'integer' must be the specification of a format"));
}

} // namespace
