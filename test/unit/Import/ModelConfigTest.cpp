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

TEST(ModelConfig, PartsOfHeadsMayBeRotated) {
  for (const char *key : {"rope_parameters", "rope_scaling", ""}) {
    json file = tinyLlama();
    file.erase("rope_scaling");
    (key[0] ? file[key] : file)["partial_rotary_factor"] = 0.25;
    auto config = read(file);
    ASSERT_TRUE(config.has_value()) << config.error().message;
    // 16 of 64 features: 8 pairs with the exponents -2i/16.
    ASSERT_EQ(config->frequencies.size(), 8u) << key;
    EXPECT_DOUBLE_EQ(config->frequencies[4], 0.01) << key;
  }
  // What stands in rope_parameters goes before what stands beside it.
  json file = tinyLlama();
  file.erase("rope_scaling");
  file["partial_rotary_factor"] = 0.5;
  file["rope_parameters"] = {{"partial_rotary_factor", 0.25}, {"rope_theta", 500000.0}};
  EXPECT_EQ(read(file)->frequencies.size(), 8u);
  EXPECT_EQ(read(file)->ropeBase, 500000);
}

Result<ModelConfig> readAs(const char *name, const json &more) {
  json file = tinyLlama();
  file["num_hidden_layers"] = 4;
  file.update(more);
  return readModelConfig(architecture(name), ModelKind::HuggingFace, file);
}

using Windows = std::vector<int64_t>;

TEST(ModelConfig, LayersMayDifferInTheirWindow) {
  const json types = {"sliding_attention", "full_attention", "sliding_attention", "full_attention"};
  for (const char *name : {"MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"}) {
    auto config = readAs(
        name, {{"layer_types", types}, {"sliding_window", 64}, {"use_sliding_window", true}, {"max_window_layers", 0}});
    ASSERT_TRUE(config.has_value()) << config.error().message;
    EXPECT_EQ(config->windows, (Windows{64, 0, 64, 0})) << name;
  }
  const json full(4, "full_attention"), sliding(4, "sliding_attention");
  EXPECT_EQ(readAs("LlamaForCausalLM", {{"layer_types", full}, {"sliding_window", 64}})->windows, Windows(4, 0));
  EXPECT_EQ(readAs("Qwen2ForCausalLM", {{"layer_types", full}, {"sliding_window", 64}})->windows, Windows(4, 0));
  auto message = [&](const char *name, const json &more) {
    auto config = readAs(name, more);
    return config ? "accepted" : config.error().message;
  };
  EXPECT_THAT(message("LlamaForCausalLM", {{"layer_types", sliding}, {"sliding_window", 64}}),
              HasSubstr("which llama models do not have"));
  EXPECT_THAT(message("MistralForCausalLM", {{"layer_types", sliding}, {"sliding_window", nullptr}}),
              HasSubstr("but 'sliding_window' gives none"));
  EXPECT_THAT(
      message("Qwen2ForCausalLM", {{"layer_types", sliding}, {"sliding_window", 64}, {"use_sliding_window", false}}),
      HasSubstr("but 'use_sliding_window' is false"));
  EXPECT_THAT(message("Qwen2ForCausalLM", {{"layer_types", json(3, "full_attention")}}),
              HasSubstr("must be a list of 4 layers"));
  EXPECT_THAT(message("Qwen3ForCausalLM", {{"layer_types", json(4, "chunked_attention")}}),
              HasSubstr("a layer of the type \"chunked_attention\", which is not supported"));
}

// As the classes of transformers have it: what an absent key stands for, null being none.
TEST(ModelConfig, AbsentWindowsAreThoseOfTheClass) {
  EXPECT_EQ(readAs("MistralForCausalLM", json::object())->windows, Windows(4, 4096));
  EXPECT_EQ(readAs("MistralForCausalLM", {{"sliding_window", nullptr}})->windows, Windows(4, 0));
  EXPECT_EQ(readAs("Qwen2ForCausalLM", json::object())->windows, Windows(4, 0));
  EXPECT_EQ(readAs("Qwen2ForCausalLM", {{"use_sliding_window", true}})->windows, Windows(4, 0)); // from layer 28 on
  EXPECT_EQ(readAs("Qwen2ForCausalLM", {{"use_sliding_window", true}, {"max_window_layers", 3}})->windows,
            (Windows{0, 0, 0, 4096}));
}

TEST(ModelConfig, GgufSaysWhichLayersHaveTheWindow) {
  json file = {{"qwen2.embedding_length", 64},        {"qwen2.block_count", 2},
               {"qwen2.feed_forward_length", 96},     {"qwen2.attention.head_count", 4},
               {"qwen2.context_length", 128},         {"qwen2.attention.layer_norm_rms_epsilon", 1e-5},
               {"qwen2.attention.sliding_window", 32}};
  auto windows = [&] { return readModelConfig(architecture("Qwen2ForCausalLM"), ModelKind::Gguf, file)->windows; };
  EXPECT_EQ(windows(), (Windows{32, 32}));
  file["qwen2.attention.sliding_window_pattern"] = {false, true};
  EXPECT_EQ(windows(), (Windows{0, 32}));
}

TEST(ModelConfig, BiasesThatTheFileSpeaksOf) {
  const std::map<std::string, bool> attention = {
      {"attn_k", true}, {"attn_output", true}, {"attn_q", true}, {"attn_v", true}};
  EXPECT_EQ(readAs("Qwen3ForCausalLM", {{"attention_bias", true}})->biases, attention);
  EXPECT_EQ(readAs("LlamaForCausalLM", {{"mlp_bias", false}})->biases,
            (std::map<std::string, bool>{{"ffn_down", false}, {"ffn_gate", false}, {"ffn_up", false}}));
  EXPECT_TRUE(readAs("LlamaForCausalLM", json::object())->biases.empty());
  EXPECT_THAT(readAs("Qwen2ForCausalLM", {{"mlp_bias", true}}).error().message,
              HasSubstr("but qwen2 models have no such biases"));
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

INSTANTIATE_TEST_SUITE_P(
    Faults, BadConfig,
    testing::Values(
        Fault{"hidden_size", "null", "'hidden_size' is missing"},
        Fault{"hidden_size", "18446744073709551615", "expected 1 to 1048576"},
        Fault{"hidden_size", "2048.5", "must be an integer, found 2048.5"},
        Fault{"hidden_size", "2050", "is no multiple of 'num_attention_heads' 32"},
        Fault{"num_hidden_layers", "0", "expected 1 to 4096"},
        Fault{"vocab_size", "[]", "must be an integer, found []"}, Fault{"head_dim", "63", "expected an even number"},
        Fault{"head_dim", "1000000", "32 heads of 1000000 features are more than"},
        Fault{"rms_norm_eps", "\"small\"", "must be a number"}, Fault{"rope_theta", "-1", "a positive number"},
        Fault{"rope_scaling", "7", "'rope_scaling' must be an object, found 7"},
        Fault{"rope_scaling", R"({"type": "linear"})", "'rope_scaling.factor' is missing"},
        Fault{"rope_scaling", R"({"rope_type": {"a": 1}})", "is not supported"},
        Fault{"eos_token_id", "[1, -2]", "'eos_token_id' is -2"},
        Fault{"tie_word_embeddings", "\"yes\"", "must be true or false"},
        Fault{"partial_rotary_factor", "1.5", "expected at most 1"},
        Fault{"rope_parameters", R"({"full_attention": {"rope_theta": 1e6}})",
              "'rope_parameters.full_attention' is an object"},
        Fault{"rope_parameters", R"({"rope_type": "yarn", "factor": 4})", "of type \"yarn\" is not supported"},
        Fault{"final_logit_softcapping", "30.0", "is 30.0, which is not supported"},
        Fault{"attn_logit_softcapping", "50.0", "is not supported in llama models"},
        Fault{"logits_scaling", "8", "only 1 is"},
        Fault{"embedding_multiplier", "12.0", "'embedding_multiplier' is 12.0"},
        Fault{"num_local_experts", "8", "'num_local_experts' is 8"}, Fault{"is_causal", "false", "only true is"},
        Fault{"no_rope_layers", "[1, 0]", "'no_rope_layers' is [1,0]"},
        Fault{"attention_bias", "\"yes\"", "must be true or false"},
        Fault{"hidden_act", "\"gelu\"", "only silu is supported"}));

// The same values as a model of the architecture has.
TEST(ModelConfig, KeysThatChangeNothingAreAccepted) {
  for (const char *text :
       {R"({"final_logit_softcapping": null})", R"({"logit_scale": 1.0})", R"({"alibi": false})",
        R"({"num_experts": 0})", R"({"hidden_act": "swish"})", R"({"attention_dropout": 0.1})",
        R"({"rope_scaling": {"rope_type": "default"}, "rope_parameters": {"rope_type": "default"}})"}) {
    auto config = readAs("LlamaForCausalLM", json::parse(text));
    EXPECT_TRUE(config.has_value()) << text << ": " << config.error().message;
  }
}

TEST(ModelConfig, RopeIsSaidOnce) {
  auto config = readAs("LlamaForCausalLM",
                       {{"rope_scaling", {{"rope_type", "default"}}}, {"rope_parameters", {{"rope_theta", 5}}}});
  EXPECT_THAT(config.error().message, HasSubstr("both there and differ"));
}

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
