//===- Parser.h - descriptions from text ------------------------------------------------------------------------===//
//
// Recursive descent over the grammar of docs/FormatLanguage.md. The first error of a file is reported. Nesting is
// bounded, so that no input can exhaust the stack.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "Lexer.h"
#include <algorithm>
#include <map>

namespace quantc {

/// Recursive descent; each method parses what its name says, from the current token on.
class DescriptionParser {
public:
  DescriptionParser(std::vector<FormatToken> tokens, const std::string &file, const TableLoader &tables)
      : tokens(std::move(tokens)), file(file), loadTable(tables) {
    out->file = file;
  }
  Result<std::shared_ptr<const Description>> run();

private:
  const FormatToken &peek(size_t ahead = 0) const { return tokens[std::min(at + ahead, tokens.size() - 1)]; }
  const FormatToken &next() { return tokens[at + 1 < tokens.size() ? at++ : at]; }
  Position here() const { return peek().position; }
  bool is(std::string_view text) const {
    return (peek().kind == FormatToken::Symbol || peek().kind == FormatToken::Name) && peek().text == text;
  }
  bool accept(std::string_view text) {
    if (!is(text))
      return false;
    next();
    return true;
  }
  tl::unexpected<Error> error(std::string_view message) const { return errorAt(file, here(), message); }
  tl::unexpected<Error> error(Position position, std::string_view message) const {
    return errorAt(file, position, message);
  }
  tl::unexpected<Error> expected(std::string_view what) const {
    const bool last = peek().kind == FormatToken::LineEnd && peek(1).kind == FormatToken::End;
    return error(fmt::format("expected {}, found '{}'", what, last ? "end of file" : peek().text));
  }
  Status expect(std::string_view text) {
    if (!accept(text))
      return expected(fmt::format("'{}'", text));
    return {};
  }
  Result<std::string> name(std::string_view what = "a name") {
    if (peek().kind != FormatToken::Name)
      return expected(what);
    return next().text;
  }
  Result<std::string> string() {
    if (peek().kind != FormatToken::String)
      return expected("a quoted name");
    return next().text;
  }
  Status lineEnd() {
    if (peek().kind != FormatToken::LineEnd)
      return expected("end of line");
    next();
    return {};
  }
  void skipLines() {
    while (peek().kind == FormatToken::LineEnd)
      next();
  }
  /// item {"," item}
  template <typename Item> Status list(Item item) {
    do
      QUANTC_TRY(item());
    while (accept(","));
    return {};
  }

  // ParseExpression.cpp
  Result<ExprPtr> expr();
  /// Without `? :`: the operators of a level of the table and tighter ones. `scopeLevel` is that of shifts.
  Result<ExprPtr> binary(size_t level);
  static constexpr size_t scopeLevel = 4;
  static constexpr int deepest = 64;
  Result<ExprPtr> unary();
  Result<ExprPtr> primary();
  Result<ExprPtr> call(std::string function, Position position);
  Result<std::vector<ExprPtr>> indices();
  Result<int64_t> integer();

  // ParseLayout.cpp
  Result<std::vector<LayoutItem>> layout();
  Result<LayoutItem> layoutItem();

  // Parser.cpp
  Result<ScopeDecl> scope();
  Result<ParamChoice> choice();
  Result<ParamValue> paramValue();
  Result<DimensionDecl> dimension();

  Status declare(const std::string &name, Position position);
  Status statement();
  Status param(Position position);
  Status table(Position position);
  Status tableNumbers(Table &table);
  Status tableFile(Table &table); // ParseTable.cpp
  Status block(Position position);
  Status encode(Position position);
  Status tensor(Position position);
  Result<SettingValue> settingValue();
  Result<SettingDecl> setting(); // ParseSettings.cpp
  Status json(Position position);
  Status fieldOrDefinition();

  std::vector<FormatToken> tokens;
  const std::string &file;
  const TableLoader &loadTable;
  size_t at = 0;
  int depth = 0;
  int nesting = 0, operators = 0; ///< of the expression that is being parsed
  std::map<std::string, Position> declared;
  std::shared_ptr<Description> out = std::make_shared<Description>();
};

struct Nested {
  int &depth;
  explicit Nested(int &depth) : depth(++depth) {}
  ~Nested() { depth--; }
};

} // namespace quantc
