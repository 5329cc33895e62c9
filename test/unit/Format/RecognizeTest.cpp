//===- RecognizeTest.cpp - containers by configurations and tensors ---------------------------------------------===//

#include "quantc/Format/Recognize.h"
#include "TestFormats.h"
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

using namespace quantc;
using namespace quantc::test;
using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

namespace {

std::string errorOf(const json &config) {
  auto as = recognizeContainer(catalog(), config);
  return as ? "no error" : as.error().message;
}

json gptq() {
  return {{"quant_method", "gptq"}, {"checkpoint_format", "gptq"}, {"bits", 3}, {"group_size", -1}, {"sym", false}};
}

TEST(Recognize, ContainersByTheirConfiguration) {
  auto as = recognizeContainer(catalog(), gptq());
  ASSERT_TRUE(as) << as.error().message;
  EXPECT_EQ(as->container->name, "gptq");
  EXPECT_EQ(as->format, "int");
  const std::map<std::string, ParamValue> want{{"bits", int64_t(3)}, {"group", "K"}, {"asym", int64_t(1)}};
  EXPECT_EQ(as->params, want);

  const json four = {{"quant_method", "bitsandbytes"}, {"load_in_4bit", true}, {"bnb_4bit_quant_type", "nf4"}};
  as = recognizeContainer(catalog(), four);
  ASSERT_TRUE(as) << as.error().message;
  EXPECT_EQ(as->container->name + " " + as->format, "bitsandbytes nf4");
  as = recognizeContainer(catalog(),
                          {{"quant_method", "bitsandbytes"}, {"load_in_8bit", true}, {"load_in_4bit", false}});
  ASSERT_TRUE(as) << as.error().message;
  EXPECT_EQ(as->container->name, "bitsandbytes8");
}

TEST(Recognize, RefusesOtherConfigurations) {
  EXPECT_THAT(errorOf("gptq"), HasSubstr("is no object"));
  EXPECT_THAT(errorOf(json::object()), AllOf(HasSubstr("missing or no text"), HasSubstr("awq, bitsandbytes")));
  EXPECT_THAT(errorOf({{"quant_method", "quip"}}), HasSubstr("is \"quip\"; those that can be read are awq"));
  json config = gptq();
  config.erase("checkpoint_format");
  EXPECT_THAT(errorOf(config), AllOf(HasSubstr("lacks 'checkpoint_format'"), HasSubstr("\"gptq\" (container gptq)"),
                                     HasSubstr("\"gptq_v2\" (container gptq_v2)")));
  config = gptq();
  config.erase("bits");
  EXPECT_THAT(errorOf(config), HasSubstr("lacks 'bits'"));
  for (const json &wrong : {json(9), json(0), json(-1), json("four"), json(true), json(json::array({4})),
                            json(uint64_t(1) << 63), json(4.5), json()}) {
    config["bits"] = wrong;
    EXPECT_THAT(errorOf(config), HasSubstr("'bits' is ")) << wrong;
  }
  config = gptq();
  config["checkpoint_format"] = "marlin";
  EXPECT_THAT(errorOf(config), HasSubstr("'checkpoint_format' is \"marlin\", expected"));
}

// What the tensors have to tell: two containers, one key.
TEST(Recognize, LeavesContainersOpenThatDifferByOneKey) {
  json config = gptq();
  auto open = recognizeContainers(catalog(), config);
  ASSERT_TRUE(open) << open.error().message;
  EXPECT_EQ(open->candidates.size(), 1u);
  config.erase("checkpoint_format");
  open = recognizeContainers(catalog(), config);
  ASSERT_TRUE(open) << open.error().message;
  ASSERT_EQ(open->candidates.size(), 2u);
  EXPECT_EQ(open->candidates[0].container->name + " " + open->candidates[1].container->name, "gptq gptq_v2");
  EXPECT_THAT(open->lack, HasSubstr("lacks 'checkpoint_format'"));
  config.erase("bits");
  EXPECT_THAT(recognizeContainers(catalog(), config).error().message, HasSubstr("lacks 'checkpoint_format'"));
}

TEST(Recognize, ContainersThatCarryAFormat) {
  const auto names = [](const char *spec) { return containersFor(catalog(), catalog().format(spec)->get()).value(); };
  EXPECT_EQ(names("nf4"), std::vector<std::string>{"bnb"});
  EXPECT_THAT(names("int:4:g128:asym"), testing::IsSupersetOf({"gptq", "awq"}));
  EXPECT_EQ(names("q6_k"), std::vector<std::string>());
  EXPECT_THAT(containersFor(catalog(), nullptr).value(), testing::IsSupersetOf({"gptq", "awq", "bnb"}));
}

Result<StoredWeight> weightOf(const json &config, const std::map<std::string, FileTensor> &tensors) {
  return recognizeWeight(catalog(), recognizeContainer(catalog(), config).value(), tensors);
}

TEST(Recognize, WeightsByTheirTensors) {
  const Bytes two = fromHex("05000000000000000700000000000000");
  std::map<std::string, FileTensor> tensors = {
      {".qweight", {"i32", {12, 32}, {}}}, {".scales", {"bf16", {1, 32}, {}}}, {".g_idx", {"i32", {128}, {}}}};
  auto weight = weightOf(gptq(), tensors);
  ASSERT_TRUE(weight) << weight.error().message;
  EXPECT_EQ(fmt::format("{} {} {}", weight->format->spec(), weight->N, weight->K), "int:3:gK:bf16:asym 32 128");

  tensors[".scales"].type = "i32";
  EXPECT_THAT(weightOf(gptq(), tensors).error().message, HasSubstr("'.scales' is of type i32"));
  tensors[".scales"].type = "f16";
  tensors.erase(".g_idx");
  EXPECT_THAT(weightOf(gptq(), tensors).error().message, HasSubstr("do not say how many rows and columns"));
  tensors[".g_idx"] = {"i32", {int64_t(1) << 40}, {}};
  EXPECT_THAT(weightOf(gptq(), tensors).error().message, HasSubstr("a weight of 32 x 1099511627776"));

  const json packed = {
      {"quant_method", "compressed-tensors"},
      {"format", "pack-quantized"},
      {"config_groups",
       {{"group_0",
         {{"weights",
           {{"num_bits", 4}, {"type", "int"}, {"symmetric", true}, {"strategy", "group"}, {"group_size", 32}}}}}}}};
  weight = weightOf(packed, {{".weight_shape", {"i64", {2}, two}}, {".weight_scale", {"f32", {5, 1}, {}}}});
  ASSERT_TRUE(weight) << weight.error().message;
  EXPECT_EQ(fmt::format("{} {} {}", weight->format->spec(), weight->N, weight->K), "int:g32:f32 5 7");

  // As llm-compressor writes one scale for each row.
  json channel = packed;
  json &weights = channel["config_groups"]["group_0"]["weights"];
  weights["strategy"] = "channel";
  weights["group_size"] = nullptr;
  weight = weightOf(channel, {{".weight_shape", {"i64", {2}, two}}, {".weight_scale", {"bf16", {5, 1}, {}}}});
  ASSERT_TRUE(weight) << weight.error().message;
  EXPECT_EQ(fmt::format("{} {} {}", weight->format->spec(), weight->N, weight->K), "int:gK:bf16 5 7");
}

TEST(Recognize, TheContainerOfANameThatCarriesTheFormatMostClosely) {
  const auto named = checkpointContainers(catalog(), "compressed-tensors").value();
  EXPECT_EQ(named.size(), 2u);
  EXPECT_EQ(carries(*containerOf("pack_quantized"), *formatOf("int:8:gK:asym")), 1u);
  EXPECT_EQ(carries(*containerOf("pack_quantized_channel"), *formatOf("int:8:gK:asym")), 2u);
  EXPECT_EQ(carries(*containerOf("pack_quantized_channel"), *formatOf("int:8:g32:asym")), 0u);
  EXPECT_EQ(carries(*containerOf("pack_quantized"), *formatOf("nf4")), 0u);
  // A word of another format's parameters is no name.
  const auto plain = parseDescription("container c\ncarries bf16\ntensor \"w\" : u8 [*] { (1) }\n", "c.qc", {}).value();
  EXPECT_EQ(carries(*plain, *formatOf("int:bf16")), 0u);
  EXPECT_EQ(carries(*plain, *formatOf("bf16")), 1u);
}

TEST(Recognize, ColumnsInAnotherOrder) {
  auto binding = bindingOf("gptq_v2", "int:4:g16", 8, 32);
  const FieldValues fields = randomFields(*formatOf("int:4:g16"), 8, 32, 1);
  std::vector<Bytes> tensors = binding->store(fields);
  EXPECT_TRUE(binding->columnOrder(views(tensors)).value().empty());
  // Columns 3 and 20 of the file change places, in the codes and in the groups that they belong to.
  auto swap = [&](size_t tensor, size_t a, size_t b) {
    for (size_t i = 0; i < 4; i++)
      std::swap(tensors[tensor][4 * a + i], tensors[tensor][4 * b + i]);
  };
  swap(3, 3, 20);
  const auto order = binding->columnOrder(views(tensors)).value();
  std::vector<int64_t> want;
  for (int64_t k = 0; k < 32; k++)
    want.push_back(k == 15 ? 20 : k < 3 || k > 20 ? k : k < 15 ? k + 1 : k == 16 ? 3 : k - 1);
  EXPECT_EQ(order, want);
  const FieldValues sorted = binding->read(views(tensors), order).value();
  auto format = formatOf("int:4:g16");
  const unsigned q = format->field("q")->index;
  for (int64_t n = 0; n < 8; n++)
    for (int64_t k = 0; k < 32; k++)
      EXPECT_EQ(sorted[q][n * 32 + k], fields[q][n * 32 + order[k]]);
  EXPECT_EQ(sorted[format->field("s")->index], fields[format->field("s")->index]);

  EXPECT_FALSE(binding->read(views(tensors)));
  tensors[3][4 * 3] = std::byte(0);
  EXPECT_THAT(binding->columnOrder(views(tensors)).error().message, HasSubstr("no order of the columns makes groups"));
  tensors[3].resize(4);
  EXPECT_THAT(binding->columnOrder(views(tensors)).error().message, HasSubstr("'.g_idx' has 4 bytes, expected 128"));
}

TEST(Recognize, OffsetsThatWrap) {
  auto format = formatOf("int:4:g8:asym");
  FieldValues fields = zeroFields(*format, 8, 8);
  EXPECT_THAT(bindingOf("gptq", format->spec(), 8, 8)->checkStorable(fields).error().message,
              HasSubstr("'z' is 0 somewhere, which is stored as 15"));
  EXPECT_TRUE(bindingOf("gptq_v2", format->spec(), 8, 8)->checkStorable(fields));
  for (uint64_t &z : fields[format->field("z")->index])
    z = 1;
  EXPECT_TRUE(bindingOf("gptq", format->spec(), 8, 8)->checkStorable(fields));
}

TEST(Recognize, WrittenConfigurationsAreRecognized) {
  const std::pair<const char *, const char *> cases[] = {{"gptq", "int:3:g64"},
                                                         {"gptq_v2", "int:8:gK:asym"},
                                                         {"awq", "int:4:asym"},
                                                         {"bitsandbytes", "nf4:dq"},
                                                         {"bitsandbytes", "fp4"},
                                                         {"bitsandbytes8", "int8_row"},
                                                         {"pack_quantized", "int:8:g32:asym"},
                                                         {"pack_quantized_channel", "int:gK"}};
  for (auto [container, spec] : cases) {
    const auto config = configOf(*containerOf(container), *formatOf(spec), {.dtype = "float16", .kept = {"lm_head"}});
    ASSERT_TRUE(config) << config.error().message;
    auto as = recognizeContainer(catalog(), json(*config));
    ASSERT_TRUE(as) << as.error().message;
    EXPECT_EQ(as->container->name, container);
    EXPECT_EQ(as->format, formatOf(spec)->name());
  }
}

} // namespace
