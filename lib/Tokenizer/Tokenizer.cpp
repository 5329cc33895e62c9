//===- Tokenizer.cpp - what both kinds of tokenizer share: added tokens, prefix and suffix, decoding ------------===//

#include "quantc/Tokenizer/Tokenizer.h"
#include "BytePair.h"
#include "SentencePiece.h"
#include <algorithm>
#include <utf8proc.h>

using namespace quantc;

static bool isAdded(const Token &token) {
  return !token.text.empty() && (token.type == TokenType::Control || token.type == TokenType::UserDefined);
}

Tokenizer::Tokenizer(TokenizerModel model) : description(std::move(model)), addedByFirstByte(256) {
  for (int32_t id = 0; description.isToken(id); id++)
    if (isAdded(description.tokens[id]))
      addedByFirstByte[static_cast<uint8_t>(description.tokens[id].text[0])].push_back(id);
  for (auto &ids : addedByFirstByte)
    std::ranges::sort(ids, std::greater<>(), [&](int32_t id) { return description.tokens[id].text.size(); });
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::create(TokenizerModel model) {
  QUANTC_TRY(model.check());
  if (model.kind == TokenizerKind::SentencePiece)
    return SentencePieceTokenizer::create(std::move(model));
  return BytePairTokenizer::create(std::move(model));
}

int32_t Tokenizer::addedTokenAt(std::string_view text, size_t at, bool control) const {
  for (int32_t id : addedByFirstByte[static_cast<uint8_t>(text[at])]) {
    const Token &token = description.tokens[id];
    if ((control || token.type != TokenType::Control) && text.substr(at).starts_with(token.text))
      return id;
  }
  return -1;
}

static Status checkUtf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    utf8proc_int32_t character;
    auto length = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t *>(text.data()) + at,
                                   static_cast<utf8proc_ssize_t>(text.size() - at), &character);
    if (length <= 0)
      return fail("the text is not UTF-8: byte 0x{:02x} at offset {}", static_cast<uint8_t>(text[at]), at);
    at += static_cast<size_t>(length);
  }
  return {};
}

Result<std::vector<int32_t>> Tokenizer::encode(std::string_view text, const EncodeOptions &options) const {
  QUANTC_TRY(checkUtf8(text));
  std::vector<int32_t> ids;
  if (options.addSpecial)
    ids = description.prefix;
  bool first = true;
  size_t begin = 0;
  auto flush = [&](size_t end) -> Status {
    if (end > begin) {
      QUANTC_TRY(encodePlain(text.substr(begin, end - begin), first, ids));
      first = false;
    }
    return {};
  };
  for (size_t at = 0; at < text.size();) {
    int32_t added = addedTokenAt(text, at, options.parseSpecial);
    if (added < 0) {
      at++;
      continue;
    }
    QUANTC_TRY(flush(at));
    const Token &token = description.tokens[added];
    ids.push_back(added);
    first = token.type == TokenType::Control;
    begin = at += token.text.size();
  }
  QUANTC_TRY(flush(text.size()));
  if (options.addSpecial)
    ids.insert(ids.end(), description.suffix.begin(), description.suffix.end());
  return ids;
}

std::string Tokenizer::piece(int32_t id, bool special) const {
  if (!description.isToken(id))
    return {};
  const Token &token = description.tokens[id];
  switch (token.type) {
  case TokenType::Control:
  case TokenType::Unknown:
    return special ? token.text : std::string();
  case TokenType::UserDefined:
    return token.text;
  default:
    return bytesOf(token);
  }
}

Result<std::string> Tokenizer::decode(std::span<const int32_t> ids, bool special) const {
  std::string text;
  bool first = dropsFirstSpace();
  for (int32_t id : ids) {
    if (!description.isToken(id))
      return fail("token id {} is outside the vocabulary of {}", id, description.tokens.size());
    std::string bytes = piece(id, special);
    if (first && description.tokens[id].type == TokenType::Normal) {
      if (bytes.starts_with(' '))
        bytes.erase(0, 1);
      first = false;
    }
    text += bytes;
  }
  return text;
}
