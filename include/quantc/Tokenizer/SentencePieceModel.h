//===- SentencePieceModel.h - tokenizers in the format of SentencePiece -----------------------------------------===//
#pragma once

#include "quantc/Tokenizer/TokenizerModel.h"

namespace quantc {

/// The bytes of a `tokenizer.model` that encodes as a tokenizer of SentencePiece's kind does, the space before a text
/// included.
std::string sentencePieceModelOf(const TokenizerModel &tokenizer);

} // namespace quantc
