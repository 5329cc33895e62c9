//===- FromGguf.cpp - the tokenizer inside a GGUF file ----------------------------------------------------------===//
//
// Keys: `tokenizer.ggml.*` as the converters of llama.cpp write them. GGUF has the tables; how a byte-level tokenizer
// cuts text into words stands there only as a name (`tokenizer.ggml.pre`), whose meaning is data of ours.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "quantc/Artifact/GgufMetadata.h"
#include "quantc/Support/Json.h"
#include "quantc/Support/Text.h"
#include "quantc/Tokenizer/TokenizerModel.h"
#include <algorithm>

using namespace quantc;
using nlohmann::json;

/// Sets `addBos` to what such tokenizers do where the file does not say.
static Status readPreTokenizer(const GgufMetadata &metadata, const std::filesystem::path &file, TokenizerModel &model,
                               bool &addBos) {
  std::string name = "gpt-2"; // files from before the key was there
  if (metadata.find("tokenizer.ggml.pre")) {
    QUANTC_ASSIGN(name, metadata.text("tokenizer.ggml.pre"));
  }
  if (name == "default")
    name = "gpt-2";
  QUANTC_ASSIGN(const json all, readJsonObject(file));
  const auto found = all.find(name);
  if (found == all.end())
    return fail("the pre-tokenizer {} (tokenizer.ggml.pre) is not known; {} lists those that are", inQuotes(name),
                file.string());
  for (const json &pattern : found->at("splits"))
    model.splits.push_back({pattern.get<std::string>()});
  model.ignoreMerges = found->value("ignore_merges", false);
  addBos = found->value("add_bos", false);
  return {};
}

static Result<std::optional<int32_t>> optionalId(const GgufMetadata &metadata, const char *key) {
  if (!metadata.find(key))
    return std::optional<int32_t>();
  QUANTC_ASSIGN(int64_t id, metadata.integer(key));
  if (id < 0 || id > INT32_MAX)
    return std::optional<int32_t>(); // converters write -1 for "none"
  return std::optional(static_cast<int32_t>(id));
}

static Result<bool> optionalFlag(const GgufMetadata &metadata, const char *key, bool fallback) {
  if (!metadata.find(key))
    return fallback;
  return metadata.boolean(key);
}

static Status readTokens(const GgufMetadata &metadata, TokenizerModel &model) {
  QUANTC_ASSIGN(auto texts, metadata.texts("tokenizer.ggml.tokens"));
  std::vector<double> scores;
  std::vector<int64_t> types;
  if (metadata.find("tokenizer.ggml.scores")) {
    QUANTC_ASSIGN(scores, metadata.numbers("tokenizer.ggml.scores"));
  }
  if (metadata.find("tokenizer.ggml.token_type")) {
    QUANTC_ASSIGN(types, metadata.integers("tokenizer.ggml.token_type"));
  }
  if ((!scores.empty() && scores.size() != texts.size()) || (!types.empty() && types.size() != texts.size()))
    return fail("{} tokens, {} scores and {} types do not belong together", texts.size(), scores.size(), types.size());
  for (size_t i = 0; i < texts.size(); i++) {
    Token token{std::move(texts[i])};
    if (!scores.empty())
      token.score = static_cast<float>(scores[i]);
    if (!types.empty()) {
      if (types[i] < 1 || types[i] > static_cast<int64_t>(TokenType::Byte))
        return fail("token {} has the unknown type {}", i, types[i]);
      token.type = static_cast<TokenType>(types[i]);
    }
    model.tokens.push_back(std::move(token));
  }
  return {};
}

Result<TokenizerModel> TokenizerModel::fromGguf(const GgufMetadata &metadata,
                                                const std::filesystem::path &pretokenizers) {
  TokenizerModel model;
  QUANTC_ASSIGN(std::string kind, metadata.text("tokenizer.ggml.model"));
  if (kind != "llama" && kind != "gpt2")
    return fail("a tokenizer of the kind {} (tokenizer.ggml.model) is not supported, only llama and gpt2",
                inQuotes(kind));
  model.kind = kind == "llama" ? TokenizerKind::SentencePiece : TokenizerKind::ByteBPE;
  QUANTC_TRY(readTokens(metadata, model));
  const bool isSentencePiece = model.kind == TokenizerKind::SentencePiece;
  bool addBos = isSentencePiece;
  if (model.kind == TokenizerKind::ByteBPE) {
    QUANTC_TRY(readPreTokenizer(metadata, pretokenizers, model, addBos));
    QUANTC_ASSIGN(auto merges, metadata.texts("tokenizer.ggml.merges"));
    for (const std::string &merge : merges) {
      const size_t gap = merge.find(' ', 1);
      if (gap == std::string::npos)
        return fail("the merge {} does not name two pieces", inQuotes(merge));
      model.merges.emplace_back(merge.substr(0, gap), merge.substr(gap + 1));
    }
  }
  QUANTC_ASSIGN(const bool prefix, optionalFlag(metadata, "tokenizer.ggml.add_space_prefix", isSentencePiece));
  model.spacePrefix = prefix ? SpacePrefix::AfterControl : SpacePrefix::Never;
  model.firstSpace = prefix && isSentencePiece ? FirstSpace::Dropped : FirstSpace::Kept;
  QUANTC_ASSIGN(model.bos, optionalId(metadata, "tokenizer.ggml.bos_token_id"));
  QUANTC_ASSIGN(model.eos, optionalId(metadata, "tokenizer.ggml.eos_token_id"));
  QUANTC_ASSIGN(addBos, optionalFlag(metadata, "tokenizer.ggml.add_bos_token", addBos));
  QUANTC_ASSIGN(bool addEos, optionalFlag(metadata, "tokenizer.ggml.add_eos_token", false));
  if (addBos && model.bos)
    model.prefix = {*model.bos};
  if (addEos && model.eos)
    model.suffix = {*model.eos};
  for (const char *key :
       {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    QUANTC_ASSIGN(auto id, optionalId(metadata, key));
    if (id && std::ranges::find(model.stops, *id) == model.stops.end())
      model.stops.push_back(*id);
  }
  if (metadata.find("tokenizer.chat_template")) {
    QUANTC_ASSIGN(model.chatTemplate, metadata.text("tokenizer.chat_template"));
  }
  QUANTC_TRY(model.check());
  return model;
}
