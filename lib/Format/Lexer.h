//===- Lexer.h - the words of a description ---------------------------------------------------------------------===//
#pragma once

#include "quantc/Format/Syntax.h"

namespace quantc {

struct FormatToken {
  enum Kind { Name, Integer, Float, String, Symbol, LineEnd, End } kind;
  std::string text;
  Position position;
  int64_t integer = 0;
  float number = 0;
};

/// Line ends inside ( ) and [ ] are left out, comments too; the last two tokens are a line end and the end of the file.
Result<std::vector<FormatToken>> tokenizeDescription(std::string_view text, const std::string &file);

} // namespace quantc
