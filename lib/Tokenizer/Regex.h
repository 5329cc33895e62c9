//===- Regex.h - the regular expressions of pre-tokenizers ------------------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <memory>
#include <vector>

struct pcre2_real_code_8;

namespace quantc {

/// A PCRE2 expression over UTF-8 with Unicode properties. Its work is bounded: an expression that backtracks without
/// end is an error, not a hang.
class Regex {
public:
  static Result<std::unique_ptr<Regex>> compile(const std::string &pattern);
  ~Regex();

  /// Appends the pieces of `text`: each match, and each gap between matches.
  Status isolate(std::string_view text, std::vector<std::string_view> &pieces) const;

private:
  Regex(std::string pattern, pcre2_real_code_8 *code) : pattern(std::move(pattern)), code(code) {}
  std::string pattern;
  pcre2_real_code_8 *code;
};

} // namespace quantc
