//===- Unicode.h - characters of UTF-8 text and what they are ---------------------------------------------------===//
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace quantc {

/// Where the first byte stands that belongs to no character of UTF-8; the size of a text that is UTF-8.
size_t sizeOfUtf8(std::string_view text);

/// The character at the beginning of a text of whole characters, which it takes from the text.
char32_t takeCharacter(std::string_view &text);

/// The bytes of the last character of a text of whole characters.
std::string_view lastCharacter(std::string_view text);

void appendCharacter(std::string &text, char32_t character);

/// Unicode's property White_Space.
bool isWhiteSpace(char32_t character);

/// What UTS #18 counts as a character of words: letters, marks, digits, connectors.
bool isWordCharacter(char32_t character);

/// How many bytes of white space a text begins and ends with.
size_t leadingSpace(std::string_view text);
size_t trailingSpace(std::string_view text);

/// `from` is not empty.
std::string replaceAll(std::string_view text, std::string_view from, std::string_view to);

} // namespace quantc
