//===- Splits.h - cutting text into words -----------------------------------------------------------------------===//
#pragma once

#include "Regex.h"
#include "quantc/Tokenizer/TokenizerModel.h"

namespace quantc {

/// The splits of a model, applied one after the other: no merge crosses the border between two words.
class Splits {
public:
  Splits() = default;
  /// Fails on a regular expression that is not understood.
  static Result<Splits> create(const std::vector<Split> &splits);

  /// The words of a text, none of them empty.
  Result<std::vector<std::string_view>> words(std::string_view text) const;

private:
  std::vector<Split> splits;
  std::vector<std::unique_ptr<Regex>> patterns;
};

} // namespace quantc
