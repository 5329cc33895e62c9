//===- Message.h - texts from outside in messages ---------------------------------------------------------------===//
#pragma once

#include <algorithm>
#include <string>

namespace quantc {

/// A message as one line: names from files may have line breaks and other control characters.
inline std::string oneLine(std::string message) {
  std::ranges::replace_if(message, [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  return message;
}

} // namespace quantc
