//===- AddedTokens.h - tokens that are found in a text before it is cut -----------------------------------------===//
#pragma once

#include "quantc/Tokenizer/TokenizerModel.h"

namespace quantc {

class Normalizers;

/// The control, user-defined and unknown tokens of a model that are looked for in one state of the text.
class AddedTokens {
public:
  AddedTokens() : byFirstByte(256) {}
  /// Those that are looked for in the text as it was given, or (`normalized`) in the normalized text: then what is
  /// looked for is normalized too. `model` must outlive it.
  static Result<AddedTokens> create(const TokenizerModel &model, const Normalizers *normalized);

  struct Part {
    std::string_view text;
    int32_t id = -1; ///< -1: a text between added tokens
  };
  /// The parts of a text in order; of tokens that begin at one place the longest is taken. `control`: control tokens
  /// are looked for too.
  std::vector<Part> split(std::string_view text, bool control) const;

private:
  struct Entry {
    std::string text;
    int32_t id;
  };
  const Entry *at(std::string_view text, bool control) const;

  const TokenizerModel *model = nullptr;
  std::vector<std::vector<Entry>> byFirstByte; ///< longest first
};

} // namespace quantc
