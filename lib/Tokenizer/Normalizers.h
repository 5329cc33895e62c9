//===- Normalizers.h - what is done to a text before it is cut --------------------------------------------------===//
#pragma once

#include "Regex.h"
#include "quantc/Tokenizer/TokenizerModel.h"

namespace quantc {

class Normalizers {
public:
  Normalizers() = default;
  /// Fails on a regular expression that is not understood.
  static Result<Normalizers> create(const std::vector<Normalizer> &steps);

  /// A UTF-8 text after all steps.
  Result<std::string> apply(std::string_view text) const;

private:
  std::vector<Normalizer> steps;
  std::vector<std::unique_ptr<Regex>> patterns; ///< by step; null where there is none
};

} // namespace quantc
