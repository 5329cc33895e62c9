//===- GgufTokenizer.h - tokenizers as GGUF metadata ------------------------------------------------------------===//
#pragma once

#include "quantc/Artifact/GgufMetadata.h"
#include "quantc/Tokenizer/TokenizerModel.h"

namespace quantc {

/// Adds the keys `tokenizer.*`. Fails where a tokenizer does what GGUF has no words for. `data`: the data directory.
Status addTokenizer(GgufMetadata &out, const TokenizerModel &tokenizer, const std::filesystem::path &data);

} // namespace quantc
