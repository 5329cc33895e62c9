//===- HuggingFaceTokenizer.cpp - tokenizers as the files of a Hugging Face directory ---------------------------===//

#include "DirectoryFiles.h"
#include "HuggingFaceModel.h"
#include "quantc/Support/Text.h"
#include "quantc/Tokenizer/SentencePieceModel.h"
#include <unordered_set>

using namespace quantc;
using nlohmann::ordered_json;
namespace fs = std::filesystem;

static ordered_json templateOf(const TokenizerModel &tokenizer) {
  if (tokenizer.prefix.empty() && tokenizer.suffix.empty())
    return nullptr;
  ordered_json single = ordered_json::array(), pair, tokens = ordered_json::object();
  auto add = [&](const std::vector<int32_t> &ids) {
    for (int32_t id : ids) {
      const std::string &text = tokenizer.tokens[id].text;
      single.push_back({{"SpecialToken", {{"id", text}, {"type_id", 0}}}});
      tokens[text] = {{"id", text}, {"ids", {id}}, {"tokens", {text}}};
    }
  };
  add(tokenizer.prefix);
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  add(tokenizer.suffix);
  pair = single;
  pair.push_back({{"Sequence", {{"id", "B"}, {"type_id", 1}}}});
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", tokens}};
}

static ordered_json byteLevel() {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}};
}

static Result<ordered_json> tokenizerJson(const TokenizerModel &tokenizer) {
  if (tokenizer.spacePrefix != SpacePrefix::Never)
    return fail("tokenizer.json has no words for a space that is put before a text and after control tokens only");
  // Inserted at the end: to look for a key in an ordered object takes as long as it has keys.
  ordered_json vocabulary = ordered_json::object();
  auto &entries = vocabulary.get_ref<ordered_json::object_t &>();
  std::unordered_set<std::string_view> known;
  ordered_json added = ordered_json::array(), merges = ordered_json::array();
  for (int32_t id = 0; tokenizer.isToken(id); id++) {
    const Token &token = tokenizer.tokens[id];
    if (token.text.empty())
      continue;
    if (!known.insert(token.text).second)
      return fail("two tokens are written {}, which tokenizer.json cannot have", inQuotes(token.text));
    entries.emplace_back(token.text, id);
    if (token.type == TokenType::Control || token.type == TokenType::UserDefined)
      added.push_back({{"id", id},
                       {"content", token.text},
                       {"single_word", token.match.singleWord},
                       {"lstrip", token.match.stripLeft},
                       {"rstrip", token.match.stripRight},
                       {"normalized", token.match.normalized},
                       {"special", token.type == TokenType::Control}});
  }
  for (auto &[left, right] : tokenizer.merges)
    merges.push_back({left, right});
  ordered_json splits = ordered_json::array();
  for (const Split &split : tokenizer.splits)
    splits.push_back(
        {{"type", "Split"}, {"pattern", {{"Regex", split.pattern}}}, {"behavior", "Isolated"}, {"invert", false}});
  splits.push_back(byteLevel());
  return ordered_json{{"version", "1.0"},
                      {"truncation", nullptr},
                      {"padding", nullptr},
                      {"added_tokens", added},
                      {"normalizer", nullptr},
                      {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", splits}}},
                      {"post_processor", templateOf(tokenizer)},
                      {"decoder", byteLevel()},
                      {"model",
                       {{"type", "BPE"},
                        {"dropout", nullptr},
                        {"unk_token", nullptr},
                        {"continuing_subword_prefix", nullptr},
                        {"end_of_word_suffix", nullptr},
                        {"fuse_unk", false},
                        {"byte_fallback", false},
                        {"ignore_merges", tokenizer.ignoreMerges},
                        {"vocab", vocabulary},
                        {"merges", merges}}}};
}

Status quantc::writeTokenizer(const TokenizerModel &tokenizer, const fs::path &folder) {
  const bool ofBytes = tokenizer.kind == TokenizerKind::ByteBPE;
  if (ofBytes) {
    QUANTC_ASSIGN(const ordered_json file, tokenizerJson(tokenizer));
    QUANTC_TRY(writeJson(folder / "tokenizer.json", file));
  } else {
    QUANTC_TRY(writeFile(folder / "tokenizer.model", sentencePieceModelOf(tokenizer)));
  }
  ordered_json config = {{"tokenizer_class", ofBytes ? "PreTrainedTokenizerFast" : "LlamaTokenizer"},
                         {"add_bos_token", !tokenizer.prefix.empty()},
                         {"add_eos_token", !tokenizer.suffix.empty()},
                         {"clean_up_tokenization_spaces", false}};
  if (tokenizer.bos)
    config["bos_token"] = tokenizer.tokens[*tokenizer.bos].text;
  if (tokenizer.eos)
    config["eos_token"] = tokenizer.tokens[*tokenizer.eos].text;
  if (!tokenizer.chatTemplate.empty())
    config["chat_template"] = tokenizer.chatTemplate;
  QUANTC_TRY(writeJson(folder / "tokenizer_config.json", config));
  ordered_json generation = ordered_json::object();
  if (tokenizer.bos)
    generation["bos_token_id"] = *tokenizer.bos;
  if (!tokenizer.stops.empty())
    generation["eos_token_id"] = tokenizer.stops;
  return writeJson(folder / "generation_config.json", generation);
}
