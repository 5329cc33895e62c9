//===- GgufModelFuzzer.cpp - hostile parameters and tokenizers in GGUF metadata ---------------------------------===//

#include "FuzzFiles.h"
#include "Texts.h"
#include "quantc/Artifact/GgufMetadata.h"
#include "quantc/Import/ModelConfig.h"
#include "quantc/Tokenizer/Tokenizer.h"

using namespace fuzz;
using namespace quantc;

static const ordered_json &seed() {
  static const ordered_json tree = ordered_json::parse(R"({"general.architecture": "llama", "llama.context_length": 128,
    "llama.embedding_length": 32, "llama.block_count": 2, "llama.feed_forward_length": 64, "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": [2, 2], "llama.attention.layer_norm_rms_epsilon": 1e-5, "llama.rope.dimension_count": 8,
    "llama.rope.freq_base": 10000.0, "llama.vocab_size": 9, "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "llama-bpe",
    "tokenizer.ggml.tokens": ["<s>", "a", "b", "ab", "\u2581", "<0x61>", "</s>", "\u0120", "\u0120a"],
    "tokenizer.ggml.scores": [0.0, -1.0, -2.0, -3.0, -4.0, 0.5, 0.5, 1.5, 2.5],
    "tokenizer.ggml.token_type": [3, 1, 1, 1, 1, 6, 2, 4, 1], "tokenizer.ggml.merges": ["a b", "\u0120 a"],
    "tokenizer.ggml.bos_token_id": 0, "tokenizer.ggml.eos_token_id": 6, "tokenizer.ggml.add_bos_token": true,
    "tokenizer.ggml.add_space_prefix": true, "tokenizer.chat_template": "{{ x }}"})");
  return tree;
}

/// A file of two pre-tokenizers: reading all of them would take longer than all else.
static const std::filesystem::path &pretokenizers() {
  static Folder folder;
  static const std::filesystem::path path = [] {
    const auto all = ordered_json::parse(readText(QUANTC_SOURCE_DIR "/tokenizers/pretokenizers.json").value());
    folder.hold(ordered_json{{"few.json", {{"gpt-2", all.at("gpt-2")}, {"llama-bpe", all.at("llama-bpe")}}}});
    return folder.path / "few.json";
  }();
  return path;
}

/// Arrays get the type of their first element.
static GgufValue valueOf(const ordered_json &value) {
  if (value.is_boolean())
    return GgufValue::of(value.get<bool>());
  if (value.is_number_unsigned())
    return GgufValue::of(value.get<uint64_t>());
  if (value.is_number_integer())
    return GgufValue::of(static_cast<int32_t>(value.get<int64_t>()));
  if (value.is_number())
    return GgufValue::of(value.get<float>());
  if (!value.is_array() || value.empty())
    return GgufValue::of(value.is_string() ? value.get<std::string>() : "");
  std::vector<std::string> texts;
  std::vector<float> numbers;
  std::vector<int64_t> integers;
  for (const ordered_json &element : value) {
    texts.push_back(element.is_string() ? element.get<std::string>() : "");
    numbers.push_back(element.is_number() ? element.get<float>() : 0);
    integers.push_back(element.is_number_integer() ? element.get<int64_t>() : 0);
  }
  if (value.front().is_number_integer())
    return GgufValue::array<int64_t>(integers);
  return value.front().is_number() ? GgufValue::array<float>(numbers) : GgufValue::array(std::move(texts));
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const Architectures all = std::move(Architectures::load(QUANTC_SOURCE_DIR "/architectures").value());
  const ordered_json tree = treeOf(data, size);
  if (!tree.is_object())
    return -1;
  GgufMetadata metadata;
  nlohmann::json flat = nlohmann::json::object();
  for (const auto &[key, value] : tree.items())
    if (metadata.add(key, valueOf(value)))
      flat[key] = metadata.find(key)->toJson();
  for (const Architecture &architecture : all.all())
    expectMessage(readModelConfig(architecture, ModelKind::Gguf, flat));
  auto model = TokenizerModel::fromGguf(metadata, pretokenizers());
  expectMessage(model);
  if (model)
    useTokenizer(std::move(*model), "a bab  <s>\n\xc3\xa9 42");
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t maxSize, unsigned random) {
  return mutateTree(data, size, maxSize, random, seed());
}
