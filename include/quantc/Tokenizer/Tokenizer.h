//===- Tokenizer.h - text to token ids and back -----------------------------------------------------------------===//
#pragma once

#include "quantc/Tokenizer/TokenizerModel.h"
#include <memory>

namespace quantc {

struct EncodeOptions {
  bool addSpecial = true;   ///< put the model's prefix and suffix (BOS, EOS) around the text
  bool parseSpecial = true; ///< control tokens that stand in the text become their ids, instead of being spelled
};

/// Text to token ids and back. Immutable after construction, so one object serves every thread.
class Tokenizer {
public:
  static Result<std::unique_ptr<Tokenizer>> create(TokenizerModel model);
  virtual ~Tokenizer() = default;

  /// Token ids of a UTF-8 text. Fails on text that is not UTF-8, naming the byte.
  Result<std::vector<int32_t>> encode(std::string_view text, const EncodeOptions &options = {}) const;
  /// The text of token ids; control tokens give no text unless `special`. Fails on an id outside the vocabulary.
  Result<std::string> decode(std::span<const int32_t> ids, bool special = false) const;
  /// The bytes that one id adds in the middle of a text: a part of a character, perhaps.
  std::string piece(int32_t id, bool special = false) const;

  const TokenizerModel &model() const { return description; }

protected:
  explicit Tokenizer(TokenizerModel model);
  /// Appends the ids of a text without added tokens. `first`: it begins the text or follows a control token.
  virtual Status encodePlain(std::string_view text, bool first, std::vector<int32_t> &ids) const = 0;
  /// The bytes of a token that is neither control nor added.
  virtual std::string bytesOf(const Token &token) const = 0;
  /// Whether the space before a text is an artefact of encoding, to be dropped in decoding.
  bool dropsFirstSpace() const { return description.kind == TokenizerKind::SentencePiece && description.spacePrefix; }

  TokenizerModel description;

private:
  /// The longest added token that stands at `at`; -1 where none does.
  int32_t addedTokenAt(std::string_view text, size_t at, bool control) const;
  std::vector<std::vector<int32_t>> addedByFirstByte; ///< ids of control and user-defined tokens, longest first
};

} // namespace quantc
