//===- ByteAlphabet.cpp - bytes written as printable characters -------------------------------------------------===//

#include "ByteAlphabet.h"
#include <array>
#include <charconv>
#include <cstdint>

using namespace quantc;

static constexpr bool printsAsItself(unsigned byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

/// The character of each byte, and the byte of each character below U+0144.
struct Alphabet {
  std::array<uint16_t, 256> character{};
  std::array<int16_t, 0x144> byte{};
  constexpr Alphabet() {
    byte.fill(-1);
    uint16_t next = 0x100;
    for (unsigned b = 0; b < 256; b++) {
      character[b] = printsAsItself(b) ? uint16_t(b) : next++;
      byte[character[b]] = int16_t(b);
    }
  }
};
static constexpr Alphabet alphabet;

std::string quantc::toByteAlphabet(std::string_view bytes) {
  std::string text;
  for (char c : bytes) {
    uint16_t u = alphabet.character[static_cast<uint8_t>(c)];
    if (u < 0x80) {
      text += static_cast<char>(u);
      continue;
    }
    text += static_cast<char>(0xc0 | u >> 6);
    text += static_cast<char>(0x80 | (u & 63));
  }
  return text;
}

std::string quantc::fromByteAlphabet(std::string_view text) {
  std::string bytes;
  for (size_t i = 0; i < text.size(); i++) {
    auto lead = static_cast<uint8_t>(text[i]);
    unsigned u = lead;
    const bool two = lead >= 0xc0 && lead < 0xe0 && i + 1 < text.size();
    if (two)
      u = (lead & 31u) << 6 | (static_cast<uint8_t>(text[i + 1]) & 63u);
    if ((lead < 0x80 || two) && u < alphabet.byte.size() && alphabet.byte[u] >= 0) {
      bytes += static_cast<char>(alphabet.byte[u]);
      i += two;
      continue;
    }
    bytes += text[i];
  }
  return bytes;
}

std::string quantc::byteTokenText(uint8_t byte) {
  return fmt::format("<0x{:02X}>", byte);
}

std::string quantc::byteOf(const Token &token) {
  unsigned byte = 0;
  if (token.text.size() == 6)
    std::from_chars(token.text.data() + 3, token.text.data() + 5, byte, 16);
  return std::string(1, static_cast<char>(byte));
}
