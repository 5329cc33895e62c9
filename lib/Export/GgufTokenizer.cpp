//===- GgufTokenizer.cpp - tokenizers as GGUF metadata ----------------------------------------------------------===//
//
// GGUF knows byte-level BPE, whose way of cutting text has a name, and SentencePiece's tables. A BPE of characters goes
// as the latter, with scores that give its merges their order.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "GgufTokenizer.h"
#include "quantc/Support/Json.h"
#include "quantc/Support/Text.h"
#include <algorithm>
#include <unordered_map>

using namespace quantc;
using json = nlohmann::ordered_json;
namespace fs = std::filesystem;

static constexpr std::string_view space = "\u2581";

//===--- Byte-level BPE -----------------------------------------------------------------------------------------===//

static bool cutsAs(const TokenizerModel &tokenizer, const json &entry) {
  std::vector<std::string> patterns;
  for (const Split &split : tokenizer.splits) {
    // Those with names match every character, so that there are no gaps to remove.
    if (split.behavior != Split::Isolated && split.behavior != Split::RemoveGaps)
      return false;
    patterns.push_back(split.pattern);
  }
  return entry.at("splits") == json(patterns) && entry.value("ignore_merges", false) == tokenizer.ignoreMerges;
}

/// The name that GGUF gives to a way of cutting text: the first in the file, which lists the usual ones first.
static Result<std::string> preTokenizerName(const TokenizerModel &tokenizer, const fs::path &data) {
  const fs::path path = data / "tokenizers" / "pretokenizers.json";
  QUANTC_ASSIGN(const json known, readJsonObject(path));
  for (auto &[name, entry] : known.items())
    if (cutsAs(tokenizer, entry))
      return name;
  return fail("the tokenizer cuts text in a way that has no name in GGUF; add it to {}", path.string());
}

static Status addMerges(GgufMetadata &out, const TokenizerModel &tokenizer) {
  std::vector<std::string> merges;
  for (auto &[left, right] : tokenizer.merges)
    merges.push_back(left + " " + right);
  return out.add("tokenizer.ggml.merges", GgufValue::array(std::move(merges)));
}

//===--- BPE of characters as SentencePiece's -------------------------------------------------------------------===//

/// Whether all that is done to a text is to write spaces as U+2581 and to put one before it.
static bool onlyWritesSpaces(const TokenizerModel &tokenizer) {
  const Normalizer prepend{Normalizer::Prepend, "", std::string(space)};
  size_t known = 0;
  bool writes = tokenizer.writesSpaces;
  for (const Normalizer &step : tokenizer.normalizers) {
    const bool replaces =
        step.kind == Normalizer::Replace && (step.pattern == " " || step.pattern == "\\ ") && step.content == space;
    writes |= replaces;
    known += replaces || step == prepend;
  }
  return writes && known == tokenizer.normalizers.size() && tokenizer.splits.empty() && tokenizer.spaceSymbol == space;
}

/// SentencePiece merges any two pieces that are one together, and first those whose piece has the best score. This is
/// what a list of merges says where all merges into a piece adjoin and none is missing.
static Result<std::vector<float>> scoresOfMerges(const TokenizerModel &tokenizer) {
  std::unordered_map<std::string_view, size_t> pieces; // and how many merges make it
  for (const Token &token : tokenizer.tokens)
    if (token.type == TokenType::Normal || token.type == TokenType::UserDefined)
      pieces.emplace(token.text, 0);
  std::unordered_map<std::string, float> scoreOf;
  std::string last;
  for (auto &[left, right] : tokenizer.merges) {
    const std::string piece = left + right;
    if (piece != last && !scoreOf.emplace(piece, -1.0f - static_cast<float>(scoreOf.size())).second)
      return fail("the tokenizer merges pieces into {} at two ranks, which GGUF's scores cannot say", inQuotes(piece));
    if (auto it = pieces.find(piece); it != pieces.end())
      it->second++;
    last = piece;
  }
  std::vector<float> scores;
  for (const Token &token : tokenizer.tokens) {
    const auto score = scoreOf.find(token.text);
    scores.push_back(score == scoreOf.end() ? -1e9f : score->second);
    const auto piece = pieces.find(token.text);
    if (piece == pieces.end())
      continue;
    size_t pairs = 0;
    for (size_t at = 1; at < token.text.size(); at++)
      pairs += pieces.contains(std::string_view(token.text).substr(0, at)) &&
               pieces.contains(std::string_view(token.text).substr(at));
    if (pairs != piece->second && token.type == TokenType::Normal)
      return fail("the tokenizer does not merge all pairs of pieces into {}, as programs that read GGUF would",
                  inQuotes(token.text));
  }
  return scores;
}

static Result<std::vector<float>> scoresOf(const TokenizerModel &tokenizer) {
  if (tokenizer.kind == TokenizerKind::CharacterBPE) {
    if (!onlyWritesSpaces(tokenizer) || !tokenizer.byteFallback || tokenizer.ignoreMerges)
      return fail("GGUF has no words for what this tokenizer.json does to text; where the directory has a "
                  "tokenizer.model of SentencePiece, remove tokenizer.json from a copy of it");
    return scoresOfMerges(tokenizer);
  }
  std::vector<float> scores;
  for (const Token &token : tokenizer.tokens)
    scores.push_back(token.score);
  return scores;
}

static bool putsSpaceBefore(const TokenizerModel &tokenizer) {
  return tokenizer.spacePrefix != SpacePrefix::Never ||
         std::ranges::any_of(tokenizer.normalizers,
                             [](const Normalizer &step) { return step.kind == Normalizer::Prepend; });
}

//===--- All of it ----------------------------------------------------------------------------------------------===//

Status quantc::addTokenizer(GgufMetadata &out, const TokenizerModel &tokenizer, const fs::path &data) {
  const bool ofBytes = tokenizer.kind == TokenizerKind::ByteBPE;
  QUANTC_TRY(out.add("tokenizer.ggml.model", GgufValue::of(ofBytes ? "gpt2" : "llama")));
  std::string cut = "default";
  if (ofBytes) {
    QUANTC_ASSIGN(cut, preTokenizerName(tokenizer, data));
  }
  QUANTC_TRY(out.add("tokenizer.ggml.pre", GgufValue::of(cut)));
  std::vector<std::string> texts;
  std::vector<int32_t> types;
  for (const Token &token : tokenizer.tokens) {
    texts.push_back(token.text);
    types.push_back(static_cast<int32_t>(token.type));
  }
  QUANTC_TRY(out.add("tokenizer.ggml.tokens", GgufValue::array(std::move(texts))));
  if (!ofBytes) {
    QUANTC_ASSIGN(const std::vector<float> scores, scoresOf(tokenizer));
    QUANTC_TRY(out.add("tokenizer.ggml.scores", GgufValue::array<float>(scores)));
  }
  QUANTC_TRY(out.add("tokenizer.ggml.token_type", GgufValue::array<int32_t>(types)));
  if (ofBytes)
    QUANTC_TRY(addMerges(out, tokenizer));
  if (tokenizer.bos)
    QUANTC_TRY(out.add("tokenizer.ggml.bos_token_id", GgufValue::of(static_cast<uint32_t>(*tokenizer.bos))));
  if (tokenizer.eos)
    QUANTC_TRY(out.add("tokenizer.ggml.eos_token_id", GgufValue::of(static_cast<uint32_t>(*tokenizer.eos))));
  QUANTC_TRY(out.add("tokenizer.ggml.add_bos_token", GgufValue::of(!tokenizer.prefix.empty())));
  QUANTC_TRY(out.add("tokenizer.ggml.add_eos_token", GgufValue::of(!tokenizer.suffix.empty())));
  if (!ofBytes)
    QUANTC_TRY(out.add("tokenizer.ggml.add_space_prefix", GgufValue::of(putsSpaceBefore(tokenizer))));
  if (!tokenizer.chatTemplate.empty())
    QUANTC_TRY(out.add("tokenizer.chat_template", GgufValue::of(tokenizer.chatTemplate)));
  return {};
}
