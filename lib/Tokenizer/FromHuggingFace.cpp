//===- FromHuggingFace.cpp - tokenizers of Hugging Face directories ---------------------------------------------===//
//
// tokenizer.json as the `tokenizers` library writes it: a BPE model, its pre-tokenizer, normalizer, post-processor and
// added tokens; or tokenizer.model of SentencePiece. Whatever this does not know is an error: text that is cut in
// another way gives other ids, and a model answers them with nonsense.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "SentencePiece.h"
#include "quantc/Support/Json.h"
#include "quantc/Support/Text.h"
#include <algorithm>

using namespace quantc;
using nlohmann::json;
namespace fs = std::filesystem;

/// GPT-2's words: contractions, letters, numbers and other characters with the space before them, white space.
static constexpr const char *gpt2Words =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// -1, which no tokenizer has, for what is no token id.
static int32_t idOf(const json &node) {
  const bool fits = node.is_number_integer() && node.get<int64_t>() >= 0 && node.get<int64_t>() <= INT32_MAX;
  return fits ? node.get<int32_t>() : -1;
}

static std::string typeOf(const json &node) {
  return node.is_object() ? node.value("type", "?") : "null";
}

//===--- Parts of tokenizer.json --------------------------------------------------------------------------------===//

static Status readNormalizer(const json &node, TokenizerModel &model) {
  const std::string type = typeOf(node);
  static const std::pair<const char *, UnicodeForm> forms[] = {
      {"NFC", UnicodeForm::NFC}, {"NFD", UnicodeForm::NFD}, {"NFKC", UnicodeForm::NFKC}, {"NFKD", UnicodeForm::NFKD}};
  for (auto &[name, form] : forms)
    if (type == name) {
      model.normalization = form;
      return {};
    }
  if (type == "null")
    return {};
  if (type == "Sequence") {
    for (const json &part : node.at("normalizers"))
      QUANTC_TRY(readNormalizer(part, model));
    return {};
  }
  // SentencePiece's way of writing spaces.
  if (model.kind == TokenizerKind::SentencePiece && type == "Prepend") {
    model.spacePrefix = true;
    return {};
  }
  if (model.kind == TokenizerKind::SentencePiece && type == "Replace")
    return {};
  return fail("the normalizer {} is not supported", inQuotes(type));
}

static Result<std::string> patternOf(const json &pattern) {
  if (pattern.contains("Regex"))
    return pattern.at("Regex").get<std::string>();
  std::string quoted;
  for (char c : pattern.at("String").get<std::string>()) {
    if (static_cast<unsigned char>(c) < 0x80 && !std::isalnum(static_cast<unsigned char>(c)))
      quoted += '\\';
    quoted += c;
  }
  return quoted;
}

static Status readPreTokenizer(const json &node, TokenizerModel &model) {
  const std::string type = typeOf(node);
  if (type == "Sequence") {
    for (const json &part : node.at("pretokenizers"))
      QUANTC_TRY(readPreTokenizer(part, model));
    return {};
  }
  if (type == "ByteLevel") {
    model.spacePrefix |= node.value("add_prefix_space", false);
    if (node.value("use_regex", true))
      model.splits.push_back(gpt2Words);
    return {};
  }
  if (type == "Digits") {
    model.splits.push_back(node.value("individual_digits", false) ? R"(\p{N})" : R"(\p{N}+)");
    return {};
  }
  if (type == "Split") {
    if (node.value("behavior", "") != "Isolated" && node.value("behavior", "") != "Removed")
      return fail("the pre-tokenizer's splitting behaviour {} is not supported", inQuotes(node.value("behavior", "")));
    // 'Removed' with 'invert' keeps exactly the matches; the expressions in use leave no gaps, so that isolating is the
    // same.
    if (node.value("behavior", "") == "Removed" && !node.value("invert", false))
      return fail("a pre-tokenizer that removes text is not supported");
    QUANTC_ASSIGN(std::string pattern, patternOf(node.at("pattern")));
    model.splits.push_back(std::move(pattern));
    return {};
  }
  return fail("the pre-tokenizer {} is not supported", inQuotes(type));
}

static Status readPostProcessor(const json &node, const json &ids, TokenizerModel &model) {
  const std::string type = typeOf(node);
  if (type == "null" || type == "ByteLevel")
    return {};
  if (type == "Sequence") {
    for (const json &part : node.at("processors"))
      QUANTC_TRY(readPostProcessor(part, ids, model));
    return {};
  }
  if (type != "TemplateProcessing")
    return fail("the post-processor {} is not supported", inQuotes(type));
  std::vector<int32_t> *side = &model.prefix;
  for (const json &part : node.at("single"))
    if (part.contains("Sequence"))
      side = &model.suffix;
    else
      for (const json &id : node.at("special_tokens").at(part.at("SpecialToken").at("id").get<std::string>()).at("ids"))
        side->push_back(idOf(id));
  return {};
}

static Status setToken(TokenizerModel &model, const json &number, Token token) {
  if (!number.is_number_integer() || number.get<int64_t>() < 0)
    return fail("the id of token {} is no whole number", inQuotes(token.text));
  const auto id = number.get<uint64_t>();
  if (id >= 1u << 24)
    return fail("token {} has the id {}, more than 2^24", inQuotes(token.text), id);
  if (id >= model.tokens.size())
    model.tokens.resize(id + 1, Token{"", 0, TokenType::Unused});
  model.tokens[id] = std::move(token);
  return {};
}

/// A merge is "a b" in old files and ["a", "b"] in new ones.
static Result<std::pair<std::string, std::string>> readMerge(const json &merge) {
  if (merge.is_array())
    return std::pair(merge.at(0).get<std::string>(), merge.at(1).get<std::string>());
  auto text = merge.get<std::string>();
  size_t gap = text.find(' ', 1);
  if (gap == std::string::npos)
    return fail("the merge {} does not name two pieces", inQuotes(text));
  return std::pair(text.substr(0, gap), text.substr(gap + 1));
}

/// SentencePiece merges the pair whose piece has the best score: the earliest merge.
static void scoreByMerges(TokenizerModel &model, const json &vocabulary) {
  for (Token &token : model.tokens) {
    token.score = -1e9f;
    if (token.text.size() == 6 && token.text.starts_with("<0x") && token.text.back() == '>')
      token.type = TokenType::Byte;
  }
  float score = 0;
  for (auto &[left, right] : model.merges)
    if (auto it = vocabulary.find(left + right); it != vocabulary.end())
      if (Token &token = model.tokens[it->get<size_t>()]; token.score == -1e9f)
        token.score = --score;
  model.merges.clear();
}

static Result<TokenizerModel> readTokenizerJson(const json &root) {
  const json &bpe = root.at("model");
  if (bpe.value("type", "BPE") != "BPE" || !bpe.contains("merges"))
    return fail("a tokenizer of type {} is not supported, only BPE", inQuotes(bpe.value("type", "?")));
  TokenizerModel model;
  model.kind = bpe.value("byte_fallback", false) ? TokenizerKind::SentencePiece : TokenizerKind::ByteBPE;
  model.ignoreMerges = bpe.value("ignore_merges", false);
  for (auto &[text, id] : bpe.at("vocab").items())
    QUANTC_TRY(setToken(model, id, Token{text}));
  for (const json &merge : bpe.at("merges")) {
    QUANTC_ASSIGN(auto pair, readMerge(merge));
    model.merges.push_back(std::move(pair));
  }
  QUANTC_TRY(readNormalizer(root.value("normalizer", json()), model));
  if (model.kind == TokenizerKind::ByteBPE)
    QUANTC_TRY(readPreTokenizer(root.value("pre_tokenizer", json()), model));
  else
    scoreByMerges(model, bpe.at("vocab"));
  for (const json &added : root.value("added_tokens", json::array())) {
    Token token{added.at("content").get<std::string>()};
    token.type = added.value("special", false) ? TokenType::Control : TokenType::UserDefined;
    if (bpe.contains("unk_token") && bpe.at("unk_token") == token.text && model.kind == TokenizerKind::SentencePiece)
      token.type = TokenType::Unknown;
    QUANTC_TRY(setToken(model, added.at("id"), std::move(token)));
  }
  QUANTC_TRY(readPostProcessor(root.value("post_processor", json()), bpe.at("vocab"), model));
  return model;
}

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
    if (fromModelFile && model.eos && config.value("add_eos_token", false))
      model.suffix = {*model.eos};
    if (fromModelFile && !config.value("add_bos_token", true))
      model.prefix.clear();
    model.chatTemplate = chatTemplateIn(config);
  }
  if (fs::path path = directory / "chat_template.jinja"; fs::exists(path)) { // it goes before the one in the config
    QUANTC_ASSIGN(model.chatTemplate, readText(path, 1 << 20));
  }
  if (fs::path path = directory / "generation_config.json"; fs::exists(path)) {
    QUANTC_ASSIGN(json config, readJsonObject(path));
    if (auto it = config.find("eos_token_id"); it != config.end() && !it->is_null())
      for (const json &id : it->is_array() ? *it : json::array({*it}))
        model.stops.push_back(idOf(id));
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
