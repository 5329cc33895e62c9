//===- BytePair.h - byte-pair encoding --------------------------------------------------------------------------===//
#pragma once

#include "Splits.h"
#include "quantc/Tokenizer/Tokenizer.h"
#include <array>
#include <unordered_map>

namespace quantc {

/// Byte-pair encoding of bytes (GPT-2) or of characters: text is cut into words by regular expressions, and the symbols
/// of each word are merged pair by pair, the pair of best rank first.
class BytePairTokenizer : public Tokenizer {
public:
  static Result<std::unique_ptr<Tokenizer>> create(TokenizerModel model);

protected:
  Status encodePlain(std::string_view text, bool spaced, std::vector<int32_t> &ids) const override;
  std::string bytesOf(const Token &token) const override;

private:
  explicit BytePairTokenizer(TokenizerModel model) : Tokenizer(std::move(model)) {}
  Status index();
  /// -1 where the vocabulary has no such piece.
  int32_t find(std::string_view piece) const;
  Status encodeWord(std::string_view word, std::vector<int32_t> &ids) const;
  /// The tokens that merging begins with.
  Result<std::vector<int32_t>> bytes(std::string_view word) const;
  Result<std::vector<int32_t>> characters(std::string_view word) const;
  void merge(const std::vector<int32_t> &symbols, std::vector<int32_t> &ids) const;

  /// What merging two adjacent tokens gives: the better the earlier the merge stands in the model.
  struct Merge {
    int32_t rank, id;
  };
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  std::unordered_map<std::string, int32_t, Hash, std::equal_to<>> idOf;
  std::array<int32_t, 256> idOfByte; ///< -1: none
  std::unordered_map<uint64_t, Merge> mergeOf;
  Splits splits;
};

} // namespace quantc
