//===- Conversations.h - what is said, by a model's chat template -----------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include "quantc/Tokenizer/TokenizerModel.h"
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace quantc {

/// Writes conversations (lists of {"role", "content"}) out as the model's own programs do it before they encode them:
/// special tokens stand in the texts. Fails where the model has no chat template, and on what the template refuses.
Result<std::vector<std::string>> renderConversations(const TokenizerModel &model,
                                                     const std::vector<nlohmann::ordered_json> &conversations);

} // namespace quantc
