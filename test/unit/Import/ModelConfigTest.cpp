//===- ModelConfigTest.cpp - the parameters of models -----------------------------------------------------------===//

#include "quantc/Import/ModelConfig.h"

#include <cmath>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

using namespace quantc;
using nlohmann::json;
using testing::HasSubstr;

namespace {

const Architecture &architecture(const std::string &name) {
  static const Architectures all = *Architectures::load(std::string(QUANTC_SOURCE_DIR) + "/architectures");
  return **all.find(ModelKind::HuggingFace, name);
}

/// config.json of TinyLlama 1.1B.
json tinyLlama() {
  return json::parse(
      R"({"hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22, "num_attention_heads": 32,
    "num_key_value_heads": 4, "vocab_size": 32000, "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "rope_scaling": null,
    "rope_theta": 10000.0, "tie_word_embeddings": false, "bos_token_id": 1, "eos_token_id": 2, "hidden_act": "silu"})");
}

Result<ModelConfig> read(const json &config) {
  return readModelConfig(architecture("LlamaForCausalLM"), ModelKind::HuggingFace, config);
}

TEST(ModelConfig, ReadsALlama) {
  auto config = read(tinyLlama());
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_EQ(config->headDim, 64);
  EXPECT_EQ(config->kvHeads, 4);
  EXPECT_EQ(config->tied, false);
  EXPECT_EQ(config->windows, std::vector<int64_t>(22, 0));
  EXPECT_EQ(config->eos, std::vector<int32_t>{2});
  ASSERT_EQ(config->frequencies.size(), 32u);
  EXPECT_DOUBLE_EQ(config->frequencies[16], 0.01);
}

TEST(ModelConfig, DefaultsAreThoseOfTheArchitecture) {
  json file = tinyLlama();
  for (const char *key : {"num_key_value_heads", "rope_theta", "tie_word_embeddings", "eos_token_id"})
    file.erase(key);
  auto config = read(file);
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_EQ(config->kvHeads, 32);
  EXPECT_EQ(config->ropeBase, 10000);
  EXPECT_EQ(config->tied, std::nullopt);
  EXPECT_TRUE(config->eos.empty());
}

TEST(ModelConfig, RopeMayStandInRopeParameters) {
  json file = tinyLlama();
  file.erase("rope_theta");
  file["rope_parameters"] = {{"rope_theta", 1e6}, {"rope_type", "default"}};
  EXPECT_EQ(read(file)->ropeBase, 1e6);
}

// The factors that llama.cpp's converter writes for Llama 3.2 (factor 32) and base 500000, computed from the published
// rule at three frequencies: kept, blended, divided.
TEST(ModelConfig, Llama3KeepsShortWavesAndSlowsLongOnes) {
  json file = tinyLlama();
  file["rope_theta"] = 500000.0;
  file["rope_scaling"] = {{"rope_type", "llama3"},
                          {"factor", 32.0},
                          {"low_freq_factor", 1.0},
                          {"high_freq_factor", 4.0},
                          {"original_max_position_embeddings", 8192}};
  auto config = read(file);
  ASSERT_TRUE(config.has_value()) << config.error().message;
  auto unscaled = [](int i) { return std::pow(500000.0, -2.0 * i / 64); };
  EXPECT_DOUBLE_EQ(config->frequencies[0], 1);
  EXPECT_DOUBLE_EQ(config->frequencies[31], unscaled(31) / 32);
  double wave = 2 * M_PI / unscaled(16), share = (8192 / wave - 1) / 3; // 4443 lies between 2048 and 8192
  EXPECT_NEAR(config->frequencies[16], unscaled(16) * ((1 - share) / 32 + share), 1e-12);
}

TEST(ModelConfig, GgufParametersMayBeEqualLists) {
  json file = {{"llama.embedding_length", 64},          {"llama.block_count", 2},
               {"llama.feed_forward_length", {96, 96}}, {"llama.attention.head_count", 4},
               {"llama.context_length", 128},           {"llama.attention.layer_norm_rms_epsilon", 1e-5}};
  auto config = readModelConfig(architecture("LlamaForCausalLM"), ModelKind::Gguf, file);
  ASSERT_TRUE(config.has_value()) << config.error().message;
  EXPECT_EQ(config->ffn, 96);
  EXPECT_EQ(config->vocab, 0);
  file["llama.feed_forward_length"] = {96, 128};
  config = readModelConfig(architecture("LlamaForCausalLM"), ModelKind::Gguf, file);
  EXPECT_THAT(config.error().message, HasSubstr("'llama.feed_forward_length' differs between layers"));
}

struct Fault {
  const char *key, *value, *message;
};
class BadConfig : public testing::TestWithParam<Fault> {};

TEST_P(BadConfig, IsRefused) {
  json file = tinyLlama();
  file[GetParam().key] = json::parse(GetParam().value);
  auto config = read(file);
  ASSERT_FALSE(config.has_value());
  EXPECT_THAT(config.error().message, HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(Faults, BadConfig,
                         testing::Values(Fault{"hidden_size", "null", "'hidden_size' is missing"},
                                         Fault{"hidden_size", "18446744073709551615", "expected 1 to 1048576"},
                                         Fault{"hidden_size", "2048.5", "must be an integer, found 2048.5"},
                                         Fault{"hidden_size", "2050", "is no multiple of 'num_attention_heads' 32"},
                                         Fault{"num_hidden_layers", "0", "expected 1 to 4096"},
                                         Fault{"vocab_size", "[]", "must be an integer, found []"},
                                         Fault{"head_dim", "63", "expected an even number"},
                                         Fault{"head_dim", "1000000", "32 heads of 1000000 features are more than"},
                                         Fault{"rms_norm_eps", "\"small\"", "must be a number"},
                                         Fault{"rope_theta", "-1", "a positive number"},
                                         Fault{"rope_scaling", "7", "'rope_scaling' must be an object, found 7"},
                                         Fault{"rope_scaling", R"({"type": "linear"})",
                                               "'rope_scaling.factor' is missing"},
                                         Fault{"rope_scaling", R"({"rope_type": {"a": 1}})", "is not supported"},
                                         Fault{"eos_token_id", "[1, -2]", "'eos_token_id' is -2"},
                                         Fault{"tie_word_embeddings", "\"yes\"", "must be true or false"},
                                         Fault{"partial_rotary_factor", "1.5", "expected at most 1"}));

TEST(ModelConfig, AnythingButAnObjectLacksKeys) {
  EXPECT_THAT(read(json::array()).error().message, HasSubstr("is missing"));
}

TEST(ScaleFrequencies, ChecksCountAndSign) {
  ModelConfig config;
  config.frequencies = {1, 0.5};
  EXPECT_TRUE(scaleFrequencies(config, {1, 8}).has_value());
  EXPECT_EQ(config.frequencies[1], 0.0625);
  EXPECT_THAT(scaleFrequencies(config, {1}).error().message,
              HasSubstr("1 factors of the rotary embedding, expected 2"));
  EXPECT_THAT(scaleFrequencies(config, {1, NAN}).error().message, HasSubstr("expected a positive number"));
}

} // namespace
