//===- HuggingFaceModel.h - what a GGUF file says, as the files of a Hugging Face directory ---------------------===//
#pragma once

#include "quantc/Import/Checkpoint.h"
#include "quantc/Import/ModelConfig.h"
#include "quantc/Tokenizer/TokenizerModel.h"

namespace quantc {

/// The architecture of Hugging Face's directories that computes what a GGUF file's does.
Result<const Architecture *> huggingFaceArchitecture(const Architectures &all, const Architecture &own,
                                                     const ModelConfig &config);

/// config.json of a model, which reads back as `config`; fails where none does. `dtype`: "bfloat16".
Result<nlohmann::ordered_json> huggingFaceConfig(const Architecture &target, const ModelConfig &config,
                                                 const std::string &dtype);

/// Writes tokenizer.json or tokenizer.model, tokenizer_config.json and generation_config.json. Fails where they have no
/// words for what the tokenizer does.
Status writeTokenizer(const TokenizerModel &tokenizer, const std::filesystem::path &folder);

} // namespace quantc
