//===- Lexer.cpp - the words of a description -------------------------------------------------------------------===//

#include "Lexer.h"
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

using namespace quantc;

static bool isNameStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
static bool isDigit(char c) {
  return c >= '0' && c <= '9';
}
static bool isHex(char c) {
  return isDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/// How many characters of a number start `s`: decimal, hexadecimal, and hexadecimal floats with a p exponent.
static size_t numberLength(std::string_view s, bool &isFloat) {
  isFloat = false;
  size_t n = 0;
  auto at = [&](size_t i) { return i < s.size() ? s[i] : '\0'; };
  auto exponent = [&](size_t i) { // digits after e or p, with a sign perhaps
    size_t j = i + 1;
    if (at(j) == '+' || at(j) == '-')
      j++;
    if (!isDigit(at(j)))
      return i;
    while (isDigit(at(j)))
      j++;
    return j;
  };
  if (at(0) == '0' && at(1) == 'x' && isHex(at(2))) {
    for (n = 2; isHex(at(n)); n++) {
    }
    size_t m = n;
    if (at(m) == '.' && isHex(at(m + 1)))
      for (m++; isHex(at(m)); m++) {
      }
    if (at(m) == 'p')
      if (size_t end = exponent(m); end != m) {
        isFloat = true;
        return end;
      }
    return n;
  }
  while (isDigit(at(n)))
    n++;
  if (at(n) == '.' && isDigit(at(n + 1))) {
    isFloat = true;
    for (n++; isDigit(at(n)); n++) {
    }
  }
  if (at(n) == 'e')
    if (size_t end = exponent(n); end != n) {
      isFloat = true;
      n = end;
    }
  return n;
}

/// Texts of containers go into JSON files.
static bool isUtf8(const std::string &text) {
  try {
    (void)nlohmann::json(text).dump();
    return true;
  } catch (const nlohmann::json::type_error &) {
    return false;
  }
}

Result<std::vector<FormatToken>> quantc::tokenizeDescription(std::string_view text, const std::string &file) {
  static constexpr std::string_view two[] = {"..", "<<", ">>", "<=", ">=", "==", "!="};
  static constexpr std::string_view one = "-+*/%&|^~!<>?:=,.(){}[]";
  std::vector<FormatToken> tokens;
  unsigned line = 1;
  size_t lineStart = 0, at = 0;
  int depth = 0;
  auto here = [&] { return Position{line, static_cast<unsigned>(at - lineStart + 1)}; };
  while (at < text.size()) {
    const char c = text[at];
    const Position position = here();
    std::string_view rest = text.substr(at);
    if (c == ' ' || c == '\t' || c == '\r') {
      at++;
    } else if (c == '#') {
      at = std::min(text.find('\n', at), text.size());
    } else if (c == '\n') {
      if (depth == 0)
        tokens.push_back({FormatToken::LineEnd, "end of line", position});
      at++;
      line++;
      lineStart = at;
    } else if (isDigit(c)) {
      bool isFloat;
      size_t length = numberLength(rest, isFloat);
      FormatToken token{isFloat ? FormatToken::Float : FormatToken::Integer, std::string(rest.substr(0, length)),
                        position};
      if (isFloat) {
        token.number = std::strtof(token.text.c_str(), nullptr);
        if (!std::isfinite(token.number))
          return errorAt(file, position, fmt::format("'{}' is too large for f32", token.text));
      } else {
        const bool hex = token.text.starts_with("0x");
        auto [end, error] =
            std::from_chars(token.text.data() + 2 * hex, token.text.data() + length, token.integer, hex ? 16 : 10);
        if (error != std::errc())
          return errorAt(file, position, fmt::format("'{}' is too large for an integer", token.text));
      }
      tokens.push_back(std::move(token));
      at += length;
    } else if (isNameStart(c)) {
      size_t length = 1;
      while (length < rest.size() && (isNameStart(rest[length]) || isDigit(rest[length])))
        length++;
      tokens.push_back({FormatToken::Name, std::string(rest.substr(0, length)), position});
      at += length;
    } else if (c == '"') {
      size_t end = rest.find_first_of("\"\n", 1);
      if (end == std::string_view::npos || rest[end] == '\n')
        return errorAt(file, position, "unexpected character '\"'");
      tokens.push_back({FormatToken::String, std::string(rest.substr(1, end - 1)), position});
      if (!isUtf8(tokens.back().text))
        return errorAt(file, position, "a text that is not UTF-8");
      at += end + 1;
    } else {
      size_t length = one.find(c) != std::string_view::npos ? 1 : 0;
      for (std::string_view symbol : two)
        if (rest.starts_with(symbol))
          length = 2;
      if (length == 0)
        return errorAt(file, position, fmt::format("unexpected character '{}'", c));
      depth += (c == '(' || c == '[') - (c == ')' || c == ']');
      tokens.push_back({FormatToken::Symbol, std::string(rest.substr(0, length)), position});
      at += length;
    }
  }
  tokens.push_back({FormatToken::LineEnd, "end of file", here()});
  tokens.push_back({FormatToken::End, "end of file", here()});
  return tokens;
}
