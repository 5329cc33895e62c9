//===- ByteAlphabet.h - how tokens write bytes ------------------------------------------------------------------===//
//
// GPT-2 (Radford et al., 2019) writes each byte of a piece as one printable character: those of Latin-1 that are
// printable as themselves, the other 68 as U+0100 and on, in order.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Tokenizer/TokenizerModel.h"
#include <string>
#include <string_view>

namespace quantc {

std::string toByteAlphabet(std::string_view bytes);
/// Characters outside the alphabet stay as they are.
std::string fromByteAlphabet(std::string_view text);

/// "<0x0A>": the text of a token for a byte, where text is else written as it is.
std::string byteTokenText(uint8_t byte);
/// The byte of a token of the type Byte.
std::string byteOf(const Token &token);

} // namespace quantc
