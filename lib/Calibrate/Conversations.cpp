//===- Conversations.cpp - what is said, by a model's chat template ---------------------------------------------===//

#include "Conversations.h"
#include "PythonScript.h"
#include "quantc/Support/Json.h"

using namespace quantc;
using nlohmann::ordered_json;

Result<std::vector<std::string>> quantc::renderConversations(const TokenizerModel &model,
                                                             const std::vector<ordered_json> &conversations) {
  if (model.chatTemplate.empty())
    return fail("conversations need a chat template, and the model's tokenizer has none; give their text written out");
  const auto text = [&](const std::optional<int32_t> &id) { return id ? model.tokens[*id].text : std::string(); };
  const ordered_json given = {{"template", model.chatTemplate},
                              {"bos_token", text(model.bos)},
                              {"eos_token", text(model.eos)},
                              {"conversations", conversations}};
  QUANTC_ASSIGN(
      const std::string written,
      runPythonScript("conversations.py", {}, given.dump(-1, ' ', false, ordered_json::error_handler_t::replace)));
  QUANTC_ASSIGN(const ordered_json texts, parseJson(written));
  return texts.get<std::vector<std::string>>();
}
