//===- FromHuggingFace.cpp - tokenizers of Hugging Face directories ---------------------------------------------===//
//
// tokenizer.json, or tokenizer.model of SentencePiece, and the files beside it that name special tokens.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "SentencePiece.h"
#include "TokenizerJson.h"
#include "quantc/Support/Json.h"
#include "quantc/Support/Text.h"
#include <algorithm>

using namespace quantc;
using nlohmann::json;
namespace fs = std::filesystem;

//===--- The files beside it ------------------------------------------------------------------------------------===//

/// "bos_token" is a text, or an object with "content".
static std::optional<int32_t> tokenNamed(const TokenizerModel &model, const json &config, const char *key) {
  auto it = config.find(key);
  if (it == config.end() || it->is_null())
    return std::nullopt;
  const std::string text = it->is_object() ? it->value("content", "") : it->is_string() ? it->get<std::string>() : "";
  auto found = std::ranges::find(model.tokens, text, &Token::text);
  if (text.empty() || found == model.tokens.end())
    return std::nullopt;
  return static_cast<int32_t>(found - model.tokens.begin());
}

/// One template, or several by name, of which conversations without tools take the default one.
static std::string chatTemplateIn(const json &config) {
  const auto found = config.find("chat_template");
  if (found != config.end() && found->is_string())
    return found->get<std::string>();
  if (found != config.end() && found->is_array())
    for (const json &named : *found)
      if (named.is_object() && named.value("name", json()) == "default" && named.value("template", json()).is_string())
        return named["template"].get<std::string>();
  return "";
}

static Status readConfigs(const fs::path &directory, bool fromModelFile, TokenizerModel &model) {
  if (fs::path path = directory / "tokenizer_config.json"; fs::exists(path)) {
    QUANTC_ASSIGN(json config, readJsonObject(path));
    if (auto bos = tokenNamed(model, config, "bos_token"))
      model.bos = bos;
    if (auto eos = tokenNamed(model, config, "eos_token"))
      model.eos = eos;
    // transformers' class for Llama goes by these flags, whatever the post-processor in tokenizer.json says.
    const json name = config.value("tokenizer_class", json());
    if (fromModelFile || name == "LlamaTokenizer" || name == "LlamaTokenizerFast") {
      model.prefix =
          model.bos && config.value("add_bos_token", true) ? std::vector{*model.bos} : std::vector<int32_t>();
      model.suffix =
          model.eos && config.value("add_eos_token", false) ? std::vector{*model.eos} : std::vector<int32_t>();
    }
    model.chatTemplate = chatTemplateIn(config);
  }
  if (fs::path path = directory / "chat_template.jinja"; fs::exists(path)) { // it goes before the one in the config
    QUANTC_ASSIGN(model.chatTemplate, readText(path, 1 << 20));
  }
  if (fs::path path = directory / "generation_config.json"; fs::exists(path)) {
    QUANTC_ASSIGN(json config, readJsonObject(path));
    if (auto it = config.find("eos_token_id"); it != config.end() && !it->is_null())
      for (const json &id : it->is_array() ? *it : json::array({*it}))
        model.stops.push_back(tokenIdOf(id));
  }
  if (model.eos && std::ranges::find(model.stops, *model.eos) == model.stops.end())
    model.stops.push_back(*model.eos);
  return {};
}

static Result<TokenizerModel> readDirectory(const fs::path &directory) {
  TokenizerModel model;
  const fs::path asJson = directory / "tokenizer.json", asModel = directory / "tokenizer.model";
  const bool fromModelFile = !fs::exists(asJson) && fs::exists(asModel);
  if (fromModelFile) {
    QUANTC_ASSIGN(std::string bytes, readText(asModel));
    auto read = readSentencePieceModel(std::move(bytes));
    if (!read)
      return failAt(asModel.string(), read.error());
    model = std::move(*read);
    if (model.bos)
      model.prefix = {*model.bos};
  } else {
    if (!fs::exists(asJson))
      return fail("{}: neither tokenizer.json nor tokenizer.model is there", directory.string());
    QUANTC_ASSIGN(json root, readJsonObject(asJson));
    auto read = readTokenizerJson(root);
    if (!read)
      return failAt(asJson.string(), read.error());
    model = std::move(*read);
  }
  QUANTC_TRY(readConfigs(directory, fromModelFile, model));
  if (auto status = model.check(); !status)
    return failAt(directory.string(), status.error());
  return model;
}

Result<TokenizerModel> TokenizerModel::fromHuggingFace(const fs::path &directory) {
  // A value of another JSON type than expected is reported by the JSON library.
  try {
    return readDirectory(directory);
  } catch (const json::exception &e) {
    return fail("{}: the tokenizer's files have an unexpected shape: {}", directory.string(), inQuotes(e.what()));
  }
}
