//===- ModelFuzzer.cpp - hostile Hugging Face directories -------------------------------------------------------===//
//
// The input is a tree of files: config.json, generation_config.json, the index, and headers of shards, which get data
// of the size that they say. What opens must have parameters that agree with each other, and tensors that can be read.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "Artifact/Samples.h"
#include "FuzzFiles.h"
#include "quantc/Import/ModelConfig.h"
#include "quantc/Import/Tensors.h"
#include <cmath>

using namespace fuzz;
using namespace quantc;

static const ordered_json &seed() {
  static const ordered_json tree = ordered_json::parse(R"({
    "config.json": {"architectures": ["LlamaForCausalLM"], "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
      "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 4, "max_position_embeddings": 128, "rms_norm_eps": 1e-5,
      "rope_theta": 10000.0, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
      "high_freq_factor": 4.0, "original_max_position_embeddings": 64}, "sliding_window": 16, "tie_word_embeddings": true,
      "bos_token_id": 1, "eos_token_id": [2, 3], "hidden_act": "silu", "head_dim": 8},
    "generation_config.json": {"eos_token_id": [2], "bos_token_id": 1},
    "model.safetensors.index.json": {"metadata": {"total_size": 576},
      "weight_map": {"model.norm.weight": "a.safetensors", "model.embed_tokens.weight": "b.safetensors"}},
    "a.safetensors": {"model.norm.weight": {"dtype": "F16", "shape": [32], "data_offsets": [0, 64]}},
    "b.safetensors": {"model.embed_tokens.weight": {"dtype": "F32", "shape": [4, 32], "data_offsets": [0, 512]}}})");
  return tree;
}

static Catalog &catalog() {
  static const std::shared_ptr<Catalog> opened = std::move(Catalog::open(QUANTC_SOURCE_DIR).value());
  return *opened;
}

static void checkConfig(const ModelConfig &c) {
  const bool good = c.hidden > 0 && c.layers > 0 && c.ffn > 0 && c.kvHeads > 0 && c.heads % c.kvHeads == 0 &&
                    c.headDim > 0 && c.context > 0 && c.vocab > 0 && c.windows.size() == static_cast<size_t>(c.layers);
  if (!good)
    report("parameters that do not agree were accepted");
  for (double frequency : c.frequencies)
    if (!std::isfinite(frequency) || frequency < 0)
      report("a frequency of the rotary embedding is " + std::to_string(frequency));
}

static void checkTensors(const std::shared_ptr<const Checkpoint> &checkpoint) {
  auto tensors = openTensors(checkpoint, catalog());
  expectMessage(tensors);
  if (!tensors)
    return;
  for (const StoredTensor &tensor : *tensors) {
    if (tensor.rows() <= 0 || tensor.columns() <= 0 || tensor.rows() > 65536 / tensor.columns())
      continue;
    std::vector<float> values(static_cast<size_t>(tensor.rows() * tensor.columns()));
    expectMessage(tensor.read(0, tensor.rows(), values.data()));
  }
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static Folder folder;
  static const Architectures all = std::move(Architectures::load(QUANTC_SOURCE_DIR "/architectures").value());
  ordered_json tree = treeOf(data, size);
  if (!tree.is_object())
    return -1;
  std::map<std::string, std::string> files;
  for (auto &[name, content] : tree.items()) {
    const bool shard = name.ends_with(".safetensors");
    const std::string tensors = shard ? repair(content) : "";
    files[name] = shard ? samples::safetensorsFile(dump(content), tensors) : dump(content);
  }
  folder.hold(std::move(files));
  auto checkpoint = Checkpoint::open(folder.path, catalog());
  expectMessage(checkpoint);
  if (!checkpoint)
    return 0;
  for (const Architecture &architecture : all.all()) {
    auto config = readModelConfig(architecture, ModelKind::HuggingFace, (*checkpoint)->metadata());
    expectMessage(config);
    if (config)
      checkConfig(*config);
  }
  checkTensors(*checkpoint);
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t maxSize, unsigned random) {
  return mutateTree(data, size, maxSize, random, seed());
}
