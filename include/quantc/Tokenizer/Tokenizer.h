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
  virtual ~Tokenizer();

  /// Token ids of a UTF-8 text. Fails on text that is not UTF-8, naming the byte.
  Result<std::vector<int32_t>> encode(std::string_view text, const EncodeOptions &options = {}) const;
  /// The text of token ids; control tokens give no text unless `special`. Fails on an id outside the vocabulary.
  Result<std::string> decode(std::span<const int32_t> ids, bool special = false) const;
  /// The bytes that one id adds in the middle of a text: a part of a character, perhaps.
  std::string piece(int32_t id, bool special = false) const;

  const TokenizerModel &model() const { return description; }

protected:
  explicit Tokenizer(TokenizerModel model);
  /// Appends the ids of a normalized text without added tokens. `spaced`: a space is put before it (SpacePrefix).
  virtual Status encodePlain(std::string_view text, bool spaced, std::vector<int32_t> &ids) const = 0;
  /// The bytes of a token that is neither control nor added.
  virtual std::string bytesOf(const Token &token) const = 0;
  TokenizerModel description;

private:
  /// Compiles what `encode` needs.
  Status prepare();

  struct Preparation;
  std::unique_ptr<const Preparation> prepared;
};

} // namespace quantc
