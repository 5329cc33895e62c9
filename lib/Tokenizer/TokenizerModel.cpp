//===- TokenizerModel.cpp - the flat tables of an artifact ------------------------------------------------------===//

#include "quantc/Tokenizer/TokenizerModel.h"
#include "Unicode.h"
#include "quantc/Support/Text.h"
#include <algorithm>
#include <cstring>

using namespace quantc;

/// The last byte is the version. The first one had a Unicode form and whether a space is put before a text, where there
/// are now steps; and of added tokens only their type.
static constexpr std::string_view magic("qctok\0\0\2", 8), firstMagic("qctok\0\0\1", 8);

bool TokenizerModel::isAdded(const Token &token) const {
  // Only tokenizer.json lets the unknown token be written in a text.
  return token.type == TokenType::Control || token.type == TokenType::UserDefined ||
         (token.type == TokenType::Unknown && kind == TokenizerKind::CharacterBPE);
}

Status TokenizerModel::check() const {
  if (tokens.empty())
    return fail("the tokenizer has no tokens");
  if (tokens.size() > (1u << 24))
    return fail("the tokenizer has {} tokens, more than 2^24", tokens.size());
  auto inside = [&](int32_t id, const char *what) -> Status {
    if (!isToken(id))
      return fail("the tokenizer's {} token {} is outside its vocabulary of {}", what, id, tokens.size());
    return {};
  };
  for (int32_t id : prefix)
    QUANTC_TRY(inside(id, "first"));
  for (int32_t id : suffix)
    QUANTC_TRY(inside(id, "last"));
  for (int32_t id : stops)
    QUANTC_TRY(inside(id, "stop"));
  if (bos)
    QUANTC_TRY(inside(*bos, "BOS"));
  if (eos)
    QUANTC_TRY(inside(*eos, "EOS"));
  if (unknown)
    QUANTC_TRY(inside(*unknown, "unknown"));
  if (writesSpaces && spaceSymbol.empty())
    return fail("the tokenizer writes spaces as nothing");
  auto isUtf8 = [](std::string_view text) { return sizeOfUtf8(text) == text.size(); };
  for (size_t id = 0; id < tokens.size(); id++)
    if (isAdded(tokens[id]) && !isUtf8(tokens[id].text))
      return fail("token {} of the tokenizer ({}) is looked for in texts, but is not UTF-8", id,
                  inQuotes(tokens[id].text));
  if (!isUtf8(spaceSymbol))
    return fail("the tokenizer writes spaces as {}, which is not UTF-8", inQuotes(spaceSymbol));
  for (const Normalizer &step : normalizers)
    if (!isUtf8(step.content))
      return fail("a normalizer of the tokenizer puts {} into texts, which is not UTF-8", inQuotes(step.content));
  return {};
}

Status TokenizerModel::checkVocabulary(int64_t vocab) const {
  if (static_cast<int64_t>(tokens.size()) > vocab)
    return fail("the tokenizer has {} tokens, but the model's vocabulary {}: it belongs to another model",
                tokens.size(), vocab);
  return {};
}

//===--- Writing ------------------------------------------------------------------------------------------------===//

namespace {
struct Writer {
  std::string out{magic};
  void number(uint32_t value) {
    char bytes[4];
    std::memcpy(bytes, &value, 4);
    out.append(bytes, 4);
  }
  void text(std::string_view s) {
    number(static_cast<uint32_t>(s.size()));
    out += s;
  }
  void ids(std::span<const int32_t> all) {
    number(static_cast<uint32_t>(all.size()));
    for (int32_t id : all)
      number(static_cast<uint32_t>(id));
  }
  void optional(std::optional<int32_t> id) { number(static_cast<uint32_t>(id.value_or(-1))); }
};
} // namespace

static uint32_t flagsOf(const TokenMatch &match) {
  return match.normalized | match.stripLeft << 1 | match.stripRight << 2 | match.singleWord << 3;
}

static TokenMatch matchOf(uint32_t flags) {
  return {bool(flags & 1), bool(flags & 2), bool(flags & 4), bool(flags & 8)};
}

std::string TokenizerModel::serialize() const {
  Writer w;
  w.number(static_cast<uint32_t>(kind));
  w.number(ignoreMerges | writesSpaces << 1 | byteFallback << 2 | fusesUnknown << 3);
  w.number(static_cast<uint32_t>(spacePrefix));
  w.number(static_cast<uint32_t>(firstSpace));
  w.text(spaceSymbol);
  w.optional(unknown);
  w.number(static_cast<uint32_t>(normalizers.size()));
  for (const Normalizer &step : normalizers) {
    w.number(step.kind);
    w.text(step.pattern);
    w.text(step.content);
  }
  w.number(static_cast<uint32_t>(tokens.size()));
  for (const Token &token : tokens) {
    uint32_t score;
    std::memcpy(&score, &token.score, 4);
    w.number(score);
    w.number(static_cast<uint32_t>(token.type) | flagsOf(token.match) << 8);
    w.text(token.text);
  }
  w.number(static_cast<uint32_t>(merges.size()));
  for (auto &[left, right] : merges) {
    w.text(left);
    w.text(right);
  }
  w.number(static_cast<uint32_t>(splits.size()));
  for (const Split &split : splits) {
    w.number(split.behavior);
    w.text(split.pattern);
  }
  w.text(sentencePieceModel);
  w.ids(prefix);
  w.ids(suffix);
  w.ids(stops);
  w.optional(bos);
  w.optional(eos);
  w.text(chatTemplate);
  return std::move(w.out);
}

//===--- Reading ------------------------------------------------------------------------------------------------===//

namespace {
/// Reads forward; past the end everything is 0 and `ok` is false.
struct Reader {
  std::span<const std::byte> rest;
  bool ok = true;

  uint32_t number() {
    uint32_t value = 0;
    if (rest.size() < 4) {
      ok = false;
      rest = {};
      return 0;
    }
    std::memcpy(&value, rest.data(), 4);
    rest = rest.subspan(4);
    return value;
  }
  std::string text() {
    uint32_t size = number();
    if (size > rest.size()) {
      ok = false;
      rest = {};
      return {};
    }
    std::string s(reinterpret_cast<const char *>(rest.data()), size);
    rest = rest.subspan(size);
    return s;
  }
  /// How many items follow, each of at least `least` bytes: no more than there is room for.
  uint32_t count(size_t least) {
    uint32_t n = number();
    if (n > rest.size() / least) {
      ok = false;
      rest = {};
      return 0;
    }
    return n;
  }
  uint32_t upTo(uint32_t greatest) {
    uint32_t value = number();
    ok &= value <= greatest;
    return value <= greatest ? value : 0;
  }
  std::vector<int32_t> ids() {
    std::vector<int32_t> all(count(4));
    for (int32_t &id : all)
      id = static_cast<int32_t>(number());
    return all;
  }
  std::optional<int32_t> optional() {
    auto id = static_cast<int32_t>(number());
    return id == -1 ? std::nullopt : std::optional(id);
  }
};
} // namespace

/// How the first version says what is done to a text.
static void readFirstSteps(Reader &r, TokenizerModel &m) {
  if (const uint32_t form = r.upTo(4)) // 0: none; then as Normalizer's kinds
    m.normalizers.push_back({static_cast<Normalizer::Kind>(Normalizer::NFC + form - 1)});
  const uint32_t flags = r.upTo(3);
  m.ignoreMerges = flags & 1;
  if (flags & 2) {
    m.spacePrefix = SpacePrefix::AfterControl;
    m.firstSpace = m.kind == TokenizerKind::SentencePiece ? FirstSpace::Dropped : FirstSpace::Kept;
  }
}

static void readSteps(Reader &r, TokenizerModel &m) {
  const uint32_t flags = r.upTo(15);
  m.ignoreMerges = flags & 1;
  m.writesSpaces = flags & 2;
  m.byteFallback = flags & 4;
  m.fusesUnknown = flags & 8;
  m.spacePrefix = static_cast<SpacePrefix>(r.upTo(static_cast<uint32_t>(SpacePrefix::TextStart)));
  m.firstSpace = static_cast<FirstSpace>(r.upTo(static_cast<uint32_t>(FirstSpace::DroppedOfToken)));
  m.spaceSymbol = r.text();
  m.unknown = r.optional();
  m.normalizers.resize(r.count(12));
  for (Normalizer &step : m.normalizers) {
    step.kind = static_cast<Normalizer::Kind>(r.upTo(Normalizer::Replace));
    step.pattern = r.text();
    step.content = r.text();
  }
}

Result<TokenizerModel> TokenizerModel::parse(std::span<const std::byte> tables) {
  const std::string_view head(reinterpret_cast<const char *>(tables.data()), std::min(tables.size(), magic.size()));
  if (head != magic && head != firstMagic)
    return fail("the tokenizer tables have another version; compile the model again");
  const bool isFirst = head == firstMagic;
  Reader r{tables.subspan(magic.size())};
  TokenizerModel m;
  m.kind = static_cast<TokenizerKind>(r.upTo(static_cast<uint32_t>(TokenizerKind::CharacterBPE)));
  isFirst ? readFirstSteps(r, m) : readSteps(r, m);
  m.tokens.resize(r.count(12));
  for (Token &token : m.tokens) {
    uint32_t score = r.number();
    std::memcpy(&token.score, &score, 4);
    const uint32_t type = r.number();
    r.ok &= (type & 0xff) <= static_cast<uint32_t>(TokenType::Byte) && type >> 8 <= 15;
    token.type = static_cast<TokenType>(r.ok ? type & 0xff : 0);
    token.match = matchOf(type >> 8);
    token.text = r.text();
  }
  m.merges.resize(r.count(8));
  for (auto &[left, right] : m.merges) {
    left = r.text();
    right = r.text();
  }
  m.splits.resize(r.count(isFirst ? 4 : 8));
  for (Split &split : m.splits) {
    split.behavior = isFirst ? Split::Isolated : static_cast<Split::Behavior>(r.upTo(Split::Contiguous));
    split.pattern = r.text();
  }
  m.sentencePieceModel = r.text();
  m.prefix = r.ids();
  m.suffix = r.ids();
  m.stops = r.ids();
  m.bos = r.optional();
  m.eos = r.optional();
  m.chatTemplate = r.text();
  if (!r.ok || !r.rest.empty())
    return fail("the tokenizer tables are damaged; compile the model again");
  QUANTC_TRY(m.check());
  return m;
}
