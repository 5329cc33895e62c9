//===- ModelConfig.h - the parameters of a decoder, validated ---------------------------------------------------===//
#pragma once

#include "quantc/Import/Architecture.h"
#include <cstdint>
#include <nlohmann/json_fwd.hpp>

namespace quantc {

/// What the graph of a decoder depends on besides its tensors. Every number is bounded and consistent with the others.
struct ModelConfig {
  std::string architecture; ///< name of the description: "llama"
  int64_t hidden = 0;       ///< features of the residual stream
  int64_t layers = 0;
  int64_t ffn = 0;                    ///< features inside the feed-forward part
  int64_t heads = 0, kvHeads = 0;     ///< kvHeads divides heads
  int64_t headDim = 0;                ///< even
  int64_t vocab = 0;                  ///< 0: as many as the embedding has rows
  int64_t context = 0;                ///< positions that the model was trained for
  double eps = 0;                     ///< of the RMS norms
  double ropeBase = 0;                ///< before scaling
  std::vector<double> frequencies;    ///< radians for each position, one for each rotated pair; scaling is applied
  std::vector<int64_t> windows;       ///< for each layer, 0: none
  std::map<std::string, bool> biases; ///< whether weights of a role have one, as far as the configuration says
  std::optional<bool> tied;           ///< the head is the embedding; empty: it is if there is no tensor for the head
  std::vector<int32_t> bos, eos;      ///< token ids, as far as the configuration has them
};

/// Reads config.json (Hugging Face), or the metadata of a GGUF file as one flat JSON object.
/// Fails on missing keys, wrong types, sizes out of range, contradictions, and features that no kernel has.
Result<ModelConfig> readModelConfig(const Architecture &architecture, ModelKind kind, const nlohmann::json &metadata);

/// Divides each frequency by its factor (the tensor `rope_freqs` of a GGUF file).
Status scaleFrequencies(ModelConfig &config, const std::vector<float> &factors);

} // namespace quantc
