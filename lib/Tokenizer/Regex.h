//===- Regex.h - the regular expressions of tokenizers ----------------------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct pcre2_real_code_8;

namespace quantc {

/// A PCRE2 expression over UTF-8 with Unicode properties. Its work is bounded: an expression that backtracks without
/// end is an error, not a hang.
class Regex {
public:
  struct Piece {
    std::string_view text;
    bool isMatch;
  };

  static Result<std::unique_ptr<Regex>> compile(const std::string &pattern);
  ~Regex();

  /// The pieces of a text in order: each match, which may be empty, and each gap between matches. `text` is UTF-8,
  /// which is not checked: PCRE2 reads anywhere where it is not.
  Result<std::vector<Piece>> pieces(std::string_view text) const;

private:
  Regex(std::string pattern, pcre2_real_code_8 *code) : pattern(std::move(pattern)), code(code) {}
  std::string pattern;
  pcre2_real_code_8 *code;
};

} // namespace quantc
