//===- Normalizers.cpp - what is done to a text before it is cut ------------------------------------------------===//

#include "Normalizers.h"
#include "Unicode.h"
#include <cstdlib>
#include <utf8proc.h>

using namespace quantc;

Result<Normalizers> Normalizers::create(const std::vector<Normalizer> &steps) {
  Normalizers result;
  result.steps = steps;
  for (const Normalizer &step : steps) {
    result.patterns.emplace_back();
    if (step.kind == Normalizer::Replace) {
      QUANTC_ASSIGN(result.patterns.back(), Regex::compile(step.pattern));
    }
  }
  return result;
}

static std::string inForm(std::string_view text, int options) {
  utf8proc_uint8_t *out = nullptr;
  auto length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t *>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
                   &out, static_cast<utf8proc_option_t>(options | UTF8PROC_STABLE));
  std::string result = length < 0 ? std::string(text) : std::string(reinterpret_cast<char *>(out), size_t(length));
  std::free(out);
  return result;
}

static std::string lowered(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const char32_t c = takeCharacter(text);
    if (c == U'\u0130') // the only character whose lower case is two, whatever stands around it
      result += "i\u0307";
    else
      appendCharacter(result, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
  }
  return result;
}

/// Whether a character is a mark on the one before it: of the general categories Mn, Mc and Me, all of which the
/// library `tokenizers` removes.
static bool isMark(char32_t c) {
  const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC || category == UTF8PROC_CATEGORY_ME;
}

static std::string withoutAccents(std::string_view text) {
  std::string result;
  while (!text.empty())
    if (const char32_t c = takeCharacter(text); !isMark(c))
      appendCharacter(result, c);
  return result;
}

Result<std::string> Normalizers::apply(std::string_view given) const {
  std::string text(given);
  for (size_t i = 0; i < steps.size(); i++) {
    const Normalizer &step = steps[i];
    switch (step.kind) {
    case Normalizer::NFC:
      text = inForm(text, UTF8PROC_COMPOSE);
      break;
    case Normalizer::NFD:
      text = inForm(text, UTF8PROC_DECOMPOSE);
      break;
    case Normalizer::NFKC:
      text = inForm(text, UTF8PROC_COMPOSE | UTF8PROC_COMPAT);
      break;
    case Normalizer::NFKD:
      text = inForm(text, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
      break;
    case Normalizer::Lowercase:
      text = lowered(text);
      break;
    case Normalizer::StripAccents:
      text = withoutAccents(text);
      break;
    case Normalizer::StripLeft:
      text.erase(0, leadingSpace(text));
      break;
    case Normalizer::StripRight:
      text.resize(text.size() - trailingSpace(text));
      break;
    case Normalizer::Prepend:
      if (!text.empty())
        text.insert(0, step.content);
      break;
    case Normalizer::Replace: {
      QUANTC_ASSIGN(auto pieces, patterns[i]->pieces(text));
      std::string result;
      for (const Regex::Piece &piece : pieces)
        result += piece.isMatch ? std::string_view(step.content) : piece.text;
      text = std::move(result);
    }
    }
  }
  return text;
}
