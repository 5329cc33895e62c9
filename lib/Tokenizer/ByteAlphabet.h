//===- ByteAlphabet.h - bytes written as printable characters ---------------------------------------------------===//
//
// GPT-2 (Radford et al., 2019) writes each byte of a piece as one printable character: those of Latin-1 that are
// printable as themselves, the other 68 as U+0100 and on, in order.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include <string>
#include <string_view>

namespace quantc {

std::string toByteAlphabet(std::string_view bytes);
/// Characters outside the alphabet stay as they are.
std::string fromByteAlphabet(std::string_view text);

} // namespace quantc
