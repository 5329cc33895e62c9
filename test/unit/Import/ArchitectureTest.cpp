//===- ArchitectureTest.cpp - architectures/*.json --------------------------------------------------------------===//

#include "quantc/Import/Architecture.h"

#include <fstream>
#include <gmock/gmock.h>

using namespace quantc;
using testing::HasSubstr;

namespace {

Architectures shipped() {
  auto result = Architectures::load(std::string(QUANTC_SOURCE_DIR) + "/architectures");
  EXPECT_TRUE(result.has_value()) << result.error().message;
  return *result;
}

TEST(Architectures, FindsEachByTheNamesOfItsFiles) {
  Architectures all = shipped();
  EXPECT_EQ((*all.find(ModelKind::HuggingFace, "MistralForCausalLM"))->name, "mistral");
  EXPECT_EQ((*all.find(ModelKind::Gguf, "llama"))->name, "llama");
  EXPECT_THAT(all.find(ModelKind::Gguf, "").error().message, HasSubstr("architecture \"\" is not known"));
}

TEST(Architectures, NamesTensorsAndParameters) {
  Architectures all = shipped();
  const Architecture &qwen = **all.find(ModelKind::Gguf, "qwen3");
  EXPECT_EQ(qwen.tensorName(ModelKind::HuggingFace, "attn_q_norm", 7), "model.layers.7.self_attn.q_norm.weight");
  EXPECT_EQ(qwen.tensorName(ModelKind::Gguf, "attn_k.bias", 11), "blk.11.attn_k.bias");
  EXPECT_EQ(qwen.parameterName(ModelKind::Gguf, "heads"), "qwen3.attention.head_count");
  EXPECT_EQ(qwen.tensorName(ModelKind::HuggingFace, "rope_freqs"), "");
}

TEST(Architectures, OnlyLlamaPermutesQueriesAndKeys) {
  Architectures all = shipped();
  for (const Architecture &architecture : all.all())
    EXPECT_EQ(architecture.permutesQueriesAndKeys(), architecture.name == "llama" || architecture.name == "mistral");
}

class BrokenArchitecture : public testing::TestWithParam<std::pair<const char *, const char *>> {};

TEST_P(BrokenArchitecture, IsRefusedWithItsFile) {
  auto [text, message] = GetParam();
  std::filesystem::path folder = testing::TempDir() + "/architectures";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "parts") << R"({"tensors": {}, "parameters": {}, "ignored": {"gguf": [], "huggingface": []}})";
  std::ofstream(folder / "bad.json") << text;
  auto result = Architectures::load(folder);
  ASSERT_FALSE(result.has_value());
  EXPECT_THAT(result.error().message, HasSubstr("bad.json: "));
  EXPECT_THAT(result.error().message, HasSubstr(message));
}

INSTANTIATE_TEST_SUITE_P(
    Faults, BrokenArchitecture,
    testing::Values(std::pair("[", "not a JSON object"), std::pair(R"({"parts": 3})", "must be string"),
                    std::pair(R"({"parts": "parts"})", "qk_norm"),
                    std::pair(R"({"parts": "parts", "qk_norm": false, "window": "often"})", "window is \"often\""),
                    std::pair(R"({"parts": "parts", "qk_norm": false, "rope_style": {"huggingface": "odd"}})",
                              "rope_style is \"odd\"")));

} // namespace
