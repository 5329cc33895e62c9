//===- Unicode.cpp - characters of UTF-8 text and what they are -------------------------------------------------===//

#include "Unicode.h"
#include <utf8proc.h>

using namespace quantc;

/// How many bytes the first character of a text has; 0 or less: it is none.
static utf8proc_ssize_t firstCharacter(std::string_view text, utf8proc_int32_t &character) {
  return utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t *>(text.data()),
                          static_cast<utf8proc_ssize_t>(text.size()), &character);
}

size_t quantc::sizeOfUtf8(std::string_view text) {
  size_t at = 0;
  for (utf8proc_int32_t character; at < text.size();) {
    const auto length = firstCharacter(text.substr(at), character);
    if (length <= 0)
      break;
    at += static_cast<size_t>(length);
  }
  return at;
}

char32_t quantc::takeCharacter(std::string_view &text) {
  utf8proc_int32_t character = 0;
  const auto length = firstCharacter(text, character);
  text.remove_prefix(length > 0 ? static_cast<size_t>(length) : 1);
  return length > 0 ? static_cast<char32_t>(character) : U'\ufffd';
}

std::string_view quantc::lastCharacter(std::string_view text) {
  size_t at = text.size();
  while (at > 0 && (static_cast<uint8_t>(text[--at]) & 0xc0) == 0x80)
    ;
  return text.substr(at);
}

void quantc::appendCharacter(std::string &text, char32_t character) {
  utf8proc_uint8_t bytes[4];
  const auto length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(character), bytes);
  text.append(reinterpret_cast<char *>(bytes), static_cast<size_t>(length));
}

bool quantc::isWhiteSpace(char32_t c) {
  return (c >= 0x9 && c <= 0xd) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) ||
         c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool quantc::isWordCharacter(char32_t c) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
  case UTF8PROC_CATEGORY_LU:
  case UTF8PROC_CATEGORY_LL:
  case UTF8PROC_CATEGORY_LT:
  case UTF8PROC_CATEGORY_LM:
  case UTF8PROC_CATEGORY_LO:
  case UTF8PROC_CATEGORY_MN:
  case UTF8PROC_CATEGORY_MC:
  case UTF8PROC_CATEGORY_ME:
  case UTF8PROC_CATEGORY_ND:
  case UTF8PROC_CATEGORY_NL:
  case UTF8PROC_CATEGORY_PC:
    return true;
  default: // joiners, and symbols that are letters in circles and squares (Other_Alphabetic)
    return c == 0x200c || c == 0x200d || (c >= 0x24b6 && c <= 0x24e9) || (c >= 0x1f130 && c <= 0x1f149) ||
           (c >= 0x1f150 && c <= 0x1f169) || (c >= 0x1f170 && c <= 0x1f189);
  }
}

size_t quantc::leadingSpace(std::string_view text) {
  for (std::string_view rest = text; !rest.empty();) {
    const size_t at = text.size() - rest.size();
    if (!isWhiteSpace(takeCharacter(rest)))
      return at;
  }
  return text.size();
}

size_t quantc::trailingSpace(std::string_view text) {
  std::string_view rest = text;
  while (!rest.empty()) {
    std::string_view last = lastCharacter(rest);
    const size_t size = last.size();
    if (!isWhiteSpace(takeCharacter(last)))
      break;
    rest.remove_suffix(size);
  }
  return text.size() - rest.size();
}

std::string quantc::replaceAll(std::string_view text, std::string_view from, std::string_view to) {
  std::string result;
  for (size_t at; (at = text.find(from)) != std::string_view::npos; text.remove_prefix(at + from.size())) {
    result += text.substr(0, at);
    result += to;
  }
  return result += text;
}
