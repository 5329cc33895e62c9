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

TEST(ActivationFormat, SuitsTheCodesOfWeights) {
  const auto format = ActivationFormat::load(QUANTC_SOURCE_DIR);
  ASSERT_TRUE(format) << format.error().message;
  const auto catalog = Catalog::open(QUANTC_SOURCE_DIR);
  auto choice = [&](const char *spec) { return format->suiting((*catalog)->format(spec).value()); };
  auto suiting = [&](const char *spec) { return choice(spec).spec; };
  EXPECT_EQ(suiting("q8_0"), "a8:g32:s32:w32");
  for (const char *spec : {"bf16", "nf4", "nf4:dq", "fp4", "fp8", "mxfp8"})
    EXPECT_EQ(suiting(spec), "a16") << spec;
  for (const char *spec : {"f16", "f32", "aqlm"})
    EXPECT_EQ(suiting(spec), "") << spec;
  auto exactly = [&](const char *spec) { return format->suitingExactly((*catalog)->format(spec).value()).spec; };
  for (const char *spec : {"bf16", "nf4", "q8_0", "q6_k", "q3_k", "int:4:g128"})
    EXPECT_EQ(exactly(spec), "a16") << spec;
  for (const char *spec : {"q4_k", "q4_1", "int:4:g128:asym", "int:4:g32:asym"}) // minima, zero points
    EXPECT_EQ(exactly(spec), "a16s:s32") << spec;
  EXPECT_EQ(exactly("q2_k"), "a16s:s16");
  for (const char *spec : {"f16", "f32", "aqlm"})
    EXPECT_EQ(exactly(spec), "") << spec;
  EXPECT_EQ(choice("q8_0").why, "int8 activations: q8_0 is integer codes times factors of 32 columns or more");
  EXPECT_EQ(choice("nf4").why, "bf16 activations: the codes of nf4 are no integers, but few enough for bf16");
  EXPECT_EQ(choice("f16").why, "f32 activations: f16 has codes for neither int8 nor bf16");
}

TEST(ActivationFormat, SaysWhatIsWrong) {
  const auto data = std::filesystem::path(testing::TempDir()) / "activation-format";
  std::filesystem::create_directories(data / "formats");
  for (const char *text : {"{}", R"({"integer": 8})", R"({"integer": "a8"})", "[]", "{"}) {
    std::ofstream(data / "formats/activations.json") << text;
    EXPECT_FALSE(ActivationFormat::load(data)) << text;
  }
  std::ofstream(data / "formats/activations.json") << R"({"integer": "a8"})";
  EXPECT_THAT(ActivationFormat::load(data).error().message,
              EndsWith("activations.json: 'half' must be the specification of a format"));
  std::ofstream(data / "formats/activations.json") << R"({"integer": "a8", "half": "a16"})";
  EXPECT_THAT(ActivationFormat::load(data).error().message,
              EndsWith("activations.json: 'half_sums' must be the specification of a format"));
  std::ofstream(data / "formats/activations.json") << "{}";
  EXPECT_THAT(ActivationFormat::load(data).error().message,
              EndsWith("activations.json: 'integer' must be the specification of a format"));
}

} // namespace
