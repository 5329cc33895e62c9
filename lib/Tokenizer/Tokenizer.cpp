//===- Tokenizer.cpp - what both kinds of tokenizer share: added tokens, prefix and suffix, decoding ------------===//

#include "quantc/Tokenizer/Tokenizer.h"
#include "AddedTokens.h"
#include "BytePair.h"
#include "Normalizers.h"
#include "SentencePiece.h"
#include "Unicode.h"

using namespace quantc;

struct Tokenizer::Preparation {
  Normalizers normalizers;
  AddedTokens literal, normalized; ///< those that are looked for before and after normalization
};

Tokenizer::Tokenizer(TokenizerModel model) : description(std::move(model)) {}
Tokenizer::~Tokenizer() = default;

Status Tokenizer::prepare() {
  auto made = std::make_unique<Preparation>();
  QUANTC_ASSIGN(made->normalizers, Normalizers::create(description.normalizers));
  QUANTC_ASSIGN(made->literal, AddedTokens::create(description, nullptr));
  QUANTC_ASSIGN(made->normalized, AddedTokens::create(description, &made->normalizers));
  prepared = std::move(made);
  return {};
}

Result<std::unique_ptr<Tokenizer>> Tokenizer::create(TokenizerModel model) {
  QUANTC_TRY(model.check());
  QUANTC_ASSIGN(auto tokenizer, model.kind == TokenizerKind::SentencePiece
                                    ? SentencePieceTokenizer::create(std::move(model))
                                    : BytePairTokenizer::create(std::move(model)));
  QUANTC_TRY(tokenizer->prepare());
  return tokenizer;
}

/// Whether a space is put before what begins at `place`; Never: behind another text.
static bool prefixes(SpacePrefix scheme, SpacePrefix place) {
  switch (place) {
  case SpacePrefix::Never:
    return false;
  case SpacePrefix::AfterAdded:
    return scheme == SpacePrefix::AfterAdded;
  case SpacePrefix::AfterControl:
    return scheme == SpacePrefix::AfterAdded || scheme == SpacePrefix::AfterControl;
  default:
    return scheme != SpacePrefix::Never;
  }
}

Result<std::vector<int32_t>> Tokenizer::encode(std::string_view text, const EncodeOptions &options) const {
  if (const size_t at = sizeOfUtf8(text); at < text.size())
    return fail("the text is not UTF-8: byte 0x{:02x} at offset {}", static_cast<uint8_t>(text[at]), at);
  std::vector<int32_t> ids;
  if (options.addSpecial)
    ids = description.prefix;
  SpacePrefix place = SpacePrefix::TextStart; // the narrowest that covers where the next part begins
  auto add = [&](int32_t id) {
    ids.push_back(id);
    place = description.tokens[id].type == TokenType::Control ? SpacePrefix::AfterControl : SpacePrefix::AfterAdded;
  };
  for (const AddedTokens::Part &given : prepared->literal.split(text, options.parseSpecial)) {
    if (given.id >= 0) {
      add(given.id);
      continue;
    }
    QUANTC_ASSIGN(const std::string normalized, prepared->normalizers.apply(given.text));
    for (const AddedTokens::Part &part : prepared->normalized.split(normalized, options.parseSpecial)) {
      if (part.id >= 0) {
        add(part.id);
        continue;
      }
      QUANTC_TRY(encodePlain(part.text, prefixes(description.spacePrefix, place), ids));
      place = SpacePrefix::Never;
    }
  }
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
  FirstSpace drops = description.firstSpace;
  for (int32_t id : ids) {
    if (!description.isToken(id))
      return fail("token id {} is outside the vocabulary of {}", id, description.tokens.size());
    std::string bytes = piece(id, special);
    // tokenizer.json counts control tokens that are shown as text.
    const bool isText = !bytes.empty() && (description.tokens[id].type != TokenType::Control ||
                                           description.kind == TokenizerKind::CharacterBPE);
    if (isText && drops != FirstSpace::Kept) {
      if (drops == FirstSpace::DroppedOfToken)
        std::erase(bytes, ' ');
      else if (bytes.starts_with(' '))
        bytes.erase(0, 1);
      drops = FirstSpace::Kept;
    }
    text += bytes;
  }
  return text;
}
