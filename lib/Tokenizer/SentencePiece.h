//===- SentencePiece.h - tokenizers that libsentencepiece runs --------------------------------------------------===//
#pragma once

#include "quantc/Tokenizer/Tokenizer.h"

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace quantc {

class SentencePieceTokenizer : public Tokenizer {
public:
  static Result<std::unique_ptr<Tokenizer>> create(TokenizerModel model);
  ~SentencePieceTokenizer() override;

protected:
  Status encodePlain(std::string_view text, bool spaced, std::vector<int32_t> &ids) const override;
  std::string bytesOf(const Token &token) const override;

private:
  explicit SentencePieceTokenizer(TokenizerModel model);
  std::unique_ptr<sentencepiece::SentencePieceProcessor> processor;
};

/// The tables of a serialized SentencePiece model (`tokenizer.model`): its pieces, scores, types and normalizer flags.
/// Fails where libsentencepiece cannot load it.
Result<TokenizerModel> readSentencePieceModel(std::string bytes);

} // namespace quantc
