//===- RankedTokens.h - tokenizers from tiktoken's files --------------------------------------------------------===//
#pragma once

#include "quantc/Tokenizer/TokenizerModel.h"

namespace quantc::test {

/// The model of a tiktoken file: a line for each token, its bytes in base64 and its rank, which is its id. Its merges
/// are found by taking tokens apart: the last two pieces that better ranks make of a token's bytes are what it is
/// merged from.
TokenizerModel readTiktoken(const std::filesystem::path &path);

/// The model of GPT-2's files: token texts with ids, and merges, a line each, best first.
TokenizerModel readVocabAndMerges(const std::filesystem::path &directory);

/// Takes the splits of a pre-tokenizer from tokenizers/pretokenizers.json.
void setPreTokenizer(TokenizerModel &model, const std::string &name);

} // namespace quantc::test
