//===- TokenizerJson.h - tokenizer.json of Hugging Face ---------------------------------------------------------===//
#pragma once

#include "quantc/Tokenizer/TokenizerModel.h"
#include <nlohmann/json_fwd.hpp>

namespace quantc {

/// The tables of a tokenizer.json. Fails on each part that it does not know; a value of another JSON type than expected
/// is an exception of the JSON library.
Result<TokenizerModel> readTokenizerJson(const nlohmann::json &root);

/// A token id; -1, which no tokenizer has, for what is none.
int32_t tokenIdOf(const nlohmann::json &node);

} // namespace quantc
