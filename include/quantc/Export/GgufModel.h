//===- GgufModel.h - models as GGUF files -----------------------------------------------------------------------===//
#pragma once

#include "quantc/Artifact/GgufMetadata.h"
#include "quantc/Import/Checkpoint.h"
#include "quantc/Import/ModelConfig.h"
#include "quantc/Tokenizer/TokenizerModel.h"

namespace quantc {

/// The metadata that programs reading GGUF expect of a model: parameters of its architecture and its tokenizer. A GGUF
/// file's own metadata are kept as they are; those of a Hugging Face directory are made from its configuration. `data`:
/// the data directory.
Result<GgufMetadata> ggufMetadata(const Checkpoint &checkpoint, const std::filesystem::path &data);

/// Tensors that GGUF has beside those of a Hugging Face directory: factors of the rotary frequencies, where they are
/// scaled.
struct ExtraTensor {
  std::string name;
  std::vector<float> values;
};
std::vector<ExtraTensor> extraTensors(const ModelConfig &config);

} // namespace quantc
