//===- Regex.cpp - the regular expressions of pre-tokenizers ----------------------------------------------------===//

#define PCRE2_CODE_UNIT_WIDTH 8
#include "Regex.h"
#include "quantc/Support/Text.h"
#include <algorithm>
#include <pcre2.h>

using namespace quantc;

Result<std::unique_ptr<Regex>> Regex::compile(const std::string &pattern) {
  int code = 0;
  PCRE2_SIZE at = 0;
  pcre2_code *compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                       PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &code, &at, nullptr);
  if (!compiled) {
    char message[256];
    pcre2_get_error_message(code, reinterpret_cast<PCRE2_UCHAR *>(message), sizeof message);
    return fail("the tokenizer's regular expression {} is not understood at offset {}: {}", inQuotes(pattern), at,
                message);
  }
  pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE); // only faster; matching works without
  return std::unique_ptr<Regex>(new Regex(pattern, compiled));
}

Regex::~Regex() {
  pcre2_code_free(code);
}

Result<std::vector<Regex::Piece>> Regex::pieces(std::string_view text) const {
  std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match(
      pcre2_match_data_create_from_pattern(code, nullptr), pcre2_match_data_free);
  std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)> context(pcre2_match_context_create(nullptr),
                                                                                    pcre2_match_context_free);
  pcre2_set_match_limit(context.get(), 10'000'000);
  std::vector<Piece> pieces;
  size_t done = 0, at = 0;
  while (at < text.size()) {
    int found = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at, PCRE2_NO_UTF_CHECK,
                            match.get(), context.get());
    if (found == PCRE2_ERROR_NOMATCH)
      break;
    if (found < 0)
      return fail("the tokenizer's regular expression {} gives up on this text (PCRE2 error {})", inQuotes(pattern),
                  found);
    const PCRE2_SIZE *range = pcre2_get_ovector_pointer(match.get());
    const size_t begin = range[0], end = std::max(range[0], range[1]); // \K may put the end before the beginning
    if (begin > done)
      pieces.push_back({text.substr(done, begin - done), false});
    pieces.push_back({text.substr(begin, end - begin), true});
    done = at = end;
    if (begin == end) // look on from the next character
      do
        at++;
      while (at < text.size() && (static_cast<uint8_t>(text[at]) & 0xc0) == 0x80);
  }
  if (done < text.size())
    pieces.push_back({text.substr(done), false});
  return pieces;
}
