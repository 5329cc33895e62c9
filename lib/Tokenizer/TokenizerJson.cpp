//===- TokenizerJson.cpp - tokenizer.json of Hugging Face -------------------------------------------------------===//
//
// As the `tokenizers` library writes it: a BPE model, normalizer, pre-tokenizer, post-processor, decoder and added
// tokens. Whatever this does not know is an error: text that is cut in another way gives other ids, and a model answers
// them with nonsense. Two parts are left aside on purpose: `truncation` and `padding` are how batches were made in
// training, and transformers clears them too.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "TokenizerJson.h"
#include "ByteAlphabet.h"
#include "quantc/Support/Text.h"
#include <nlohmann/json.hpp>

using namespace quantc;
using nlohmann::json;

/// GPT-2's words: contractions, letters, numbers and other characters with the space before them, white space.
static constexpr const char *gpt2Words =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

int32_t quantc::tokenIdOf(const json &node) {
  const bool fits = node.is_number_integer() && node.get<int64_t>() >= 0 && node.get<int64_t>() <= INT32_MAX;
  return fits ? node.get<int32_t>() : -1;
}

static std::string typeOf(const json &node) {
  return node.is_object() ? node.value("type", "?") : "null";
}

/// A regular expression for exactly this text.
static std::string literally(std::string_view text) {
  std::string pattern;
  for (char c : text) {
    if (static_cast<unsigned char>(c) < 0x80 && !std::isalnum(static_cast<unsigned char>(c)))
      pattern += '\\';
    pattern += c;
  }
  return pattern;
}

static std::string patternOf(const json &pattern) {
  return pattern.contains("Regex") ? pattern.at("Regex").get<std::string>()
                                   : literally(pattern.at("String").get<std::string>());
}

//===--- Normalizer ---------------------------------------------------------------------------------------------===//

static Status readNormalizer(const json &node, TokenizerModel &model) {
  static const std::pair<const char *, Normalizer::Kind> plain[] = {{"NFC", Normalizer::NFC},
                                                                    {"NFD", Normalizer::NFD},
                                                                    {"NFKC", Normalizer::NFKC},
                                                                    {"NFKD", Normalizer::NFKD},
                                                                    {"Lowercase", Normalizer::Lowercase},
                                                                    {"StripAccents", Normalizer::StripAccents}};
  const std::string type = typeOf(node);
  if (type == "null")
    return {};
  for (auto &[name, kind] : plain)
    if (type == name) {
      model.normalizers.push_back({kind});
      return {};
    }
  if (type == "Sequence") {
    for (const json &part : node.at("normalizers"))
      QUANTC_TRY(readNormalizer(part, model));
  } else if (type == "Prepend") {
    model.normalizers.push_back({Normalizer::Prepend, "", node.at("prepend").get<std::string>()});
  } else if (type == "Replace") {
    model.normalizers.push_back(
        {Normalizer::Replace, patternOf(node.at("pattern")), node.at("content").get<std::string>()});
  } else if (type == "Strip") {
    if (node.value("strip_left", true))
      model.normalizers.push_back({Normalizer::StripLeft});
    if (node.value("strip_right", true))
      model.normalizers.push_back({Normalizer::StripRight});
  } else {
    return fail("the normalizer {} is not supported", inQuotes(type));
  }
  return {};
}

//===--- Pre-tokenizer ------------------------------------------------------------------------------------------===//

static Result<Split::Behavior> readBehavior(std::string_view name, bool invert) {
  if (name == "Isolated")
    return Split::Isolated;
  if (name == "Contiguous")
    return Split::Contiguous;
  if (name == "Removed")
    return invert ? Split::RemoveGaps : Split::RemoveMatches;
  // Inverted, a match is joined with its neighbour from the other side, where gaps are never empty: refused.
  if (name == "MergedWithPrevious" && !invert)
    return Split::MergedWithPrevious;
  if (name == "MergedWithNext" && !invert)
    return Split::MergedWithNext;
  return fail("the pre-tokenizer's splitting behaviour {}{} is not supported", inQuotes(name),
              invert ? " with 'invert'" : "");
}

namespace {
/// Reads pre-tokenizers one after the other. One that changes the text can only be the first, one that writes it in the
/// byte alphabet only the last.
class PreTokenizerReader {
public:
  explicit PreTokenizerReader(TokenizerModel &model) : model(model) {}
  Status read(const json &node);

private:
  Status readByteLevel(const json &node);
  Status readMetaspace(const json &node);
  Status readSplit(const json &node, const std::string &type);

  TokenizerModel &model;
  bool afterBytes = false;
};
} // namespace

Status PreTokenizerReader::read(const json &node) {
  const std::string type = typeOf(node);
  if (type == "null")
    return {};
  if (type == "Sequence") {
    for (const json &part : node.at("pretokenizers"))
      QUANTC_TRY(read(part));
    return {};
  }
  if (afterBytes)
    return fail("the pre-tokenizer {} after one of bytes is not supported", inQuotes(type));
  if (type == "ByteLevel")
    return readByteLevel(node);
  if (type == "Metaspace")
    return readMetaspace(node);
  return readSplit(node, type);
}

Status PreTokenizerReader::readByteLevel(const json &node) {
  model.kind = TokenizerKind::ByteBPE;
  afterBytes = true;
  if (node.value("add_prefix_space", true)) {
    if (!model.splits.empty())
      return fail("a pre-tokenizer that puts a space before each word of another one is not supported");
    model.spacePrefix = SpacePrefix::AfterAdded;
  }
  if (node.value("use_regex", true))
    model.splits.push_back({gpt2Words});
  return {};
}

Status PreTokenizerReader::readMetaspace(const json &node) {
  if (!model.splits.empty())
    return fail("the pre-tokenizer \"Metaspace\" after another one is not supported");
  model.spaceSymbol = node.at("replacement").get<std::string>();
  if (model.spaceSymbol.empty())
    return fail("the pre-tokenizer \"Metaspace\" has an empty replacement");
  model.writesSpaces = true;
  // Files from before there were schemes say only whether there is a prefix.
  const std::string scheme = node.value("prepend_scheme", node.value("add_prefix_space", true) ? "always" : "never");
  if (scheme == "always")
    model.spacePrefix = SpacePrefix::AfterAdded;
  else if (scheme == "first")
    model.spacePrefix = SpacePrefix::TextStart;
  else if (scheme != "never")
    return fail("the scheme {} of the pre-tokenizer \"Metaspace\" is not supported", inQuotes(scheme));
  if (node.value("split", true))
    model.splits.push_back({literally(model.spaceSymbol), Split::MergedWithNext});
  return {};
}

Status PreTokenizerReader::readSplit(const json &node, const std::string &type) {
  Split split;
  if (type == "Split") {
    split.pattern = patternOf(node.at("pattern"));
    QUANTC_ASSIGN(split.behavior, readBehavior(node.value("behavior", ""), node.value("invert", false)));
  } else if (type == "Digits") {
    split.pattern = node.value("individual_digits", false) ? R"(\p{N})" : R"(\p{N}+)";
  } else if (type == "Punctuation") {
    split.pattern = R"([\p{P}$+<=>^`|~])";
    QUANTC_ASSIGN(split.behavior, readBehavior(node.value("behavior", "Isolated"), false));
  } else if (type == "WhitespaceSplit") {
    split = {R"(\s)", Split::RemoveMatches};
  } else if (type == "CharDelimiterSplit") {
    split = {literally(node.at("delimiter").get<std::string>()), Split::RemoveMatches};
  } else {
    return fail("the pre-tokenizer {} is not supported", inQuotes(type));
  }
  model.splits.push_back(std::move(split));
  return {};
}

//===--- Post-processor and decoder -----------------------------------------------------------------------------===//

static Status readPostProcessor(const json &node, TokenizerModel &model) {
  const std::string type = typeOf(node);
  if (type == "null" || type == "ByteLevel") // the latter only moves offsets
    return {};
  if (type == "Sequence") {
    for (const json &part : node.at("processors"))
      QUANTC_TRY(readPostProcessor(part, model));
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
        side->push_back(tokenIdOf(id));
  return {};
}

static Status setSpaceSymbol(TokenizerModel &model, const std::string &symbol) {
  if (symbol.empty() || (model.writesSpaces && model.spaceSymbol != symbol))
    return fail("the decoder reads {} as a space, which is not what the pre-tokenizer writes", inQuotes(symbol));
  model.spaceSymbol = symbol;
  return {};
}

/// `joinsBytes`: whether it turns tokens of bytes into text.
static Status readDecoder(const json &node, TokenizerModel &model, bool &joinsBytes) {
  const std::string type = typeOf(node);
  const bool ofBytes = model.kind == TokenizerKind::ByteBPE;
  if (type == "null")
    return {};
  if (type == "Sequence") {
    for (const json &part : node.at("decoders"))
      QUANTC_TRY(readDecoder(part, model, joinsBytes));
    return {};
  }
  joinsBytes |= type == "ByteFallback";
  if (ofBytes ? type == "ByteLevel" : type == "ByteFallback" || type == "Fuse")
    return {};
  if (!ofBytes && type == "Replace" && node.at("pattern").contains("String") && node.at("content") == " ")
    return setSpaceSymbol(model, node.at("pattern").at("String").get<std::string>());
  if (!ofBytes && type == "Metaspace") {
    if (node.value("prepend_scheme", node.value("add_prefix_space", true) ? "always" : "never") != "never")
      model.firstSpace = FirstSpace::DroppedOfToken;
    return setSpaceSymbol(model, node.at("replacement").get<std::string>());
  }
  if (!ofBytes && type == "Strip" && node.at("content") == " " && node.at("stop") == 0 && node.at("start") == 1) {
    model.firstSpace = FirstSpace::Dropped;
    return {};
  }
  return fail("the decoder {} is not supported for {}", inQuotes(type),
              ofBytes ? "a byte-level tokenizer" : "a tokenizer of characters");
}

/// Without a decoder, text is what encoding is undone to.
static void undoSpaces(TokenizerModel &model) {
  for (const Normalizer &step : model.normalizers)
    if (step.kind == Normalizer::Replace && step.pattern == literally(" "))
      model.spaceSymbol = step.content;
}

//===--- Tokens -------------------------------------------------------------------------------------------------===//

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

/// A merge is "a b" in old files, where no piece has a space, and ["a", "b"] in new ones.
static Result<std::pair<std::string, std::string>> readMerge(const json &merge) {
  if (merge.is_array())
    return std::pair(merge.at(0).get<std::string>(), merge.at(1).get<std::string>());
  auto text = merge.get<std::string>();
  const size_t gap = text.find(' ');
  if (gap == std::string::npos || gap != text.rfind(' '))
    return fail("the merge {} does not name two pieces", inQuotes(text));
  return std::pair(text.substr(0, gap), text.substr(gap + 1));
}

static Status readBpe(const json &bpe, TokenizerModel &model) {
  if (bpe.value("type", "BPE") != "BPE" || !bpe.contains("merges"))
    return fail("a tokenizer of type {} is not supported, only BPE", inQuotes(bpe.value("type", "?")));
  if (const json dropout = bpe.value("dropout", json()); !dropout.is_null() && dropout != 0)
    return fail("the tokenizer leaves merges out at random (dropout), which is for training: set it to null");
  for (const char *key : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (const json affix = bpe.value(key, json()); !affix.is_null() && affix != "")
      return fail("the tokenizer's {} {} is not supported", key, inQuotes(affix.dump()));
  model.ignoreMerges = bpe.value("ignore_merges", false);
  model.byteFallback = model.kind == TokenizerKind::CharacterBPE && bpe.value("byte_fallback", false);
  model.fusesUnknown = bpe.value("fuse_unk", false);
  for (auto &[text, id] : bpe.at("vocab").items())
    QUANTC_TRY(setToken(model, id, Token{text}));
  if (model.byteFallback)
    for (int byte = 0; byte < 256; byte++)
      if (auto it = bpe.at("vocab").find(byteTokenText(static_cast<uint8_t>(byte))); it != bpe.at("vocab").end())
        model.tokens[it->get<size_t>()].type = TokenType::Byte;
  for (const json &merge : bpe.at("merges")) {
    QUANTC_ASSIGN(auto pair, readMerge(merge));
    model.merges.push_back(std::move(pair));
  }
  if (const json unknown = bpe.value("unk_token", json()); !unknown.is_null()) {
    const auto it = bpe.at("vocab").find(unknown.get<std::string>());
    if (it == bpe.at("vocab").end())
      return fail("the unknown token {} is not in the vocabulary", inQuotes(unknown.get<std::string>()));
    model.unknown = tokenIdOf(*it);
  }
  return {};
}

static Status readAddedTokens(const json &all, TokenizerModel &model) {
  for (const json &added : all) {
    Token token{added.at("content").get<std::string>()};
    const int32_t id = tokenIdOf(added.at("id"));
    token.type = model.kind == TokenizerKind::CharacterBPE && model.unknown == id ? TokenType::Unknown
                 : added.value("special", false)                                  ? TokenType::Control
                                                                                  : TokenType::UserDefined;
    token.match = {.normalized = added.value("normalized", !added.value("special", false)),
                   .stripLeft = added.value("lstrip", false),
                   .stripRight = added.value("rstrip", false),
                   .singleWord = added.value("single_word", false)};
    QUANTC_TRY(setToken(model, added.at("id"), std::move(token)));
  }
  return {};
}

Result<TokenizerModel> quantc::readTokenizerJson(const json &root) {
  TokenizerModel model;
  model.kind = TokenizerKind::CharacterBPE; // unless a pre-tokenizer writes bytes
  QUANTC_TRY(readNormalizer(root.value("normalizer", json()), model));
  QUANTC_TRY(PreTokenizerReader(model).read(root.value("pre_tokenizer", json())));
  if (model.kind == TokenizerKind::ByteBPE && model.writesSpaces)
    return fail("the pre-tokenizer \"Metaspace\" before one of bytes is not supported");
  if (!model.writesSpaces && model.kind == TokenizerKind::CharacterBPE)
    undoSpaces(model);
  QUANTC_TRY(readBpe(root.at("model"), model));
  const json decoder = root.value("decoder", json());
  bool joinsBytes = decoder.is_null();
  QUANTC_TRY(readDecoder(decoder, model, joinsBytes));
  if (model.byteFallback && !joinsBytes)
    return fail("the tokenizer falls back to bytes, but its decoder does not make text of them");
  QUANTC_TRY(readAddedTokens(root.value("added_tokens", json::array()), model));
  QUANTC_TRY(readPostProcessor(root.value("post_processor", json()), model));
  return model;
}
