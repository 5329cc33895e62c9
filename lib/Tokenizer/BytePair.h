//===- BytePair.h - byte-level byte-pair encoding ---------------------------------------------------------------===//
#pragma once

#include "quantc/Tokenizer/Tokenizer.h"
#include <unordered_map>

namespace quantc {

class Regex;

/// Byte-level BPE (GPT-2): text is normalized, cut into words by regular expressions, and each word's bytes, written in
/// a printable alphabet, are merged pair by pair, the pair of best rank first.
class BytePairTokenizer : public Tokenizer {
public:
  static Result<std::unique_ptr<Tokenizer>> create(TokenizerModel model);
  ~BytePairTokenizer() override;

protected:
  Status encodePlain(std::string_view text, bool first, std::vector<int32_t> &ids) const override;
  std::string bytesOf(const Token &token) const override;

private:
  explicit BytePairTokenizer(TokenizerModel model);
  Status encodeWord(std::string_view word, std::vector<int32_t> &ids) const;

  /// What merging two adjacent tokens gives: the better the earlier the merge stands in the model.
  struct Merge {
    int32_t rank, id;
  };
  std::unordered_map<std::string, int32_t> idOf;
  std::unordered_map<uint64_t, Merge> mergeOf;
  std::vector<std::unique_ptr<Regex>> splits;
};

} // namespace quantc
