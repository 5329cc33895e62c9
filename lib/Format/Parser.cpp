//===- Parser.cpp - descriptions from text ----------------------------------------------------------------------===//
//
// Recursive descent over the grammar of docs/FormatLanguage.md. The first error of a file is reported. Nesting is bounded, so
// that no input can exhaust the stack.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "Lexer.h"
#include <algorithm>
#include <charconv>
#include <map>

using namespace quantc;

tl::unexpected<Error> quantc::errorAt(const std::string &file, Position position, std::string_view message) {
  return fail("{}:{}:{}: {}", file, position.line, position.column, message);
}

bool ParamDecl::allows(const ParamValue &value) const {
  return std::ranges::any_of(choices, [&](const ParamChoice &choice) {
    if (auto *word = std::get_if<std::string>(&choice.range))
      return value == ParamValue(*word);
    auto [first, last] = std::get<0>(choice.range);
    auto *number = std::get_if<int64_t>(&value);
    return number && *number >= first && *number <= last;
  });
}

template <typename T>
static const T *findNamed(const std::vector<T> &all, std::string_view name) {
  auto it = std::ranges::find(all, name, &T::name);
  return it == all.end() ? nullptr : &*it;
}
const Definition *Description::definition(std::string_view name) const { return findNamed(definitions, name); }
const FieldDecl *Description::field(std::string_view name) const { return findNamed(fields, name); }
const Table *Description::table(std::string_view name) const { return findNamed(tables, name); }

namespace {
constexpr int deepest = 64;
constexpr int longest = 300; ///< operators of one expression
constexpr int64_t largestTable = 1 << 20;

/// Names that stand for something in every format: coordinates and extents of a weight, what is encoded, a whole block.
constexpr std::string_view reserved[] = {"i", "n", "k", "N", "K", "x", "im", "block"};

/// Loosest first; comparisons do not chain.
const std::vector<std::pair<const char *, Operator>> levels[] = {
    {{"==", Operator::Eq}, {"!=", Operator::Ne}, {"<", Operator::Lt}, {"<=", Operator::Le}, {">", Operator::Gt}, {">=", Operator::Ge}},
    {{"|", Operator::Or}},
    {{"^", Operator::Xor}},
    {{"&", Operator::And}},
    {{"<<", Operator::Shl}, {">>", Operator::Shr}},
    {{"+", Operator::Add}, {"-", Operator::Sub}},
    {{"*", Operator::Mul}, {"/", Operator::Div}, {"%", Operator::Rem}}};
constexpr size_t shiftLevel = 4;

class Parser {
public:
  Parser(std::vector<FormatToken> tokens, const std::string &file, const TableLoader &tables)
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
  tl::unexpected<Error> error(Position position, std::string_view message) const { return errorAt(file, position, message); }
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
  template <typename Item>
  Status list(Item item) {
    do
      QUANTC_TRY(item());
    while (accept(","));
    return {};
  }

  Result<ExprPtr> expr();
  Result<ExprPtr> binary(size_t level);
  Result<ExprPtr> unary();
  Result<ExprPtr> primary();
  Result<ExprPtr> call(std::string function, Position position);
  Result<std::vector<ExprPtr>> indices();
  Result<int64_t> integer();

  Result<std::vector<LayoutItem>> layout();
  Result<LayoutItem> layoutItem();
  Result<ScopeDecl> scope();
  Result<ParamChoice> choice();
  Result<ParamValue> paramValue();
  Result<DimensionDecl> dimension();

  Status declare(const std::string &name, Position position);
  Status statement();
  Status param(Position position);
  Status table(Position position);
  Status tableNumbers(Table &table);
  Status tableFile(Table &table);
  Status block(Position position);
  Status encode(Position position);
  Status tensor(Position position);
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

ExprPtr make(Expr e) { return std::make_shared<const Expr>(std::move(e)); }

//===--- Expressions --------------------------------------------------------------------------------------------===//

Result<ExprPtr> Parser::expr() {
  Nested nested(depth), inner(nesting);
  if (depth > deepest)
    return error(fmt::format("nested more than {} deep", deepest));
  if (nesting == 1)
    operators = 0;
  QUANTC_ASSIGN(ExprPtr condition, binary(0));
  Position position = here();
  if (!accept("?"))
    return condition;
  QUANTC_ASSIGN(ExprPtr then, expr());
  QUANTC_TRY(expect(":"));
  QUANTC_ASSIGN(ExprPtr otherwise, expr());
  return make({.kind = ExprKind::Select, .position = position, .args = {condition, then, otherwise}});
}

Result<ExprPtr> Parser::binary(size_t level) {
  if (level == std::size(levels))
    return unary();
  QUANTC_ASSIGN(ExprPtr left, binary(level + 1));
  for (bool chained = false;; chained = true) {
    auto &choices = levels[level];
    auto found = std::ranges::find_if(choices, [&](auto &o) { return is(o.first); });
    if (found == choices.end())
      return left;
    if (chained && level == 0)
      return error("comparisons do not chain");
    if (++operators > longest)
      return error(fmt::format("the expression has more than {} operators", longest));
    Position position = next().position;
    QUANTC_ASSIGN(ExprPtr right, binary(level + 1));
    left = make({.kind = ExprKind::Binary, .position = position, .op = found->second, .args = {left, right}});
  }
}

Result<ExprPtr> Parser::unary() {
  static const std::pair<const char *, Operator> prefixes[] = {{"-", Operator::Neg}, {"!", Operator::Not}, {"~", Operator::Complement}};
  for (auto &[text, op] : prefixes)
    if (is(text)) {
      Nested nested(depth);
      if (depth > deepest)
        return error(fmt::format("nested more than {} deep", deepest));
      Position position = next().position;
      QUANTC_ASSIGN(ExprPtr operand, unary());
      return make({.kind = ExprKind::Unary, .position = position, .op = op, .args = {operand}});
    }
  return primary();
}

Result<ExprPtr> Parser::primary() {
  Position position = here();
  if (accept("(")) {
    QUANTC_ASSIGN(ExprPtr inner, expr());
    QUANTC_TRY(expect(")"));
    return inner;
  }
  if (peek().kind == FormatToken::Integer)
    return make({.kind = ExprKind::Integer, .position = position, .integer = next().integer});
  if (peek().kind == FormatToken::Float)
    return make({.kind = ExprKind::Float, .position = position, .number = next().number});
  QUANTC_ASSIGN(std::string text, name("an expression"));
  if (is("("))
    return call(std::move(text), position);
  QUANTC_ASSIGN(auto index, indices());
  return make({.kind = ExprKind::Name, .position = position, .name = std::move(text), .args = std::move(index)});
}

Result<ExprPtr> Parser::call(std::string function, Position position) {
  QUANTC_TRY(expect("("));
  if (function == "sum" && peek(1).text == ":") { // sum(j:COUNT, body); sum(x) is the aggregate of encode clauses
    QUANTC_ASSIGN(std::string variable, name("a variable"));
    next();
    QUANTC_ASSIGN(ExprPtr count, expr());
    QUANTC_TRY(expect(","));
    QUANTC_ASSIGN(ExprPtr body, expr());
    QUANTC_TRY(expect(")"));
    return make({.kind = ExprKind::Sum, .position = position, .name = std::move(variable), .args = {count, body}});
  }
  Expr e{.kind = ExprKind::Call, .position = position, .name = std::move(function)};
  QUANTC_TRY(list([&]() -> Status {
    std::string key;
    if (peek().kind == FormatToken::Name && peek(1).text == "=" && peek(1).kind == FormatToken::Symbol) {
      key = next().text;
      next();
    }
    QUANTC_ASSIGN(ExprPtr value, expr());
    if (key.empty())
      e.args.push_back(value);
    else
      e.named.emplace_back(key, value);
    return {};
  }));
  QUANTC_TRY(expect(")"));
  return make(std::move(e));
}

Result<std::vector<ExprPtr>> Parser::indices() {
  std::vector<ExprPtr> all;
  while (accept("[")) {
    QUANTC_TRY(list([&]() -> Status {
      QUANTC_ASSIGN(ExprPtr index, expr());
      all.push_back(index);
      return {};
    }));
    QUANTC_TRY(expect("]"));
  }
  return all;
}

Result<int64_t> Parser::integer() {
  const bool negative = accept("-");
  if (peek().kind != FormatToken::Integer)
    return expected("an integer");
  const int64_t value = next().integer;
  return negative ? -value : value;
}

//===--- Layouts ------------------------------------------------------------------------------------------------===//

Result<std::vector<LayoutItem>> Parser::layout() {
  Nested nested(depth);
  if (depth > deepest)
    return error(fmt::format("nested more than {} deep", deepest));
  QUANTC_TRY(expect("{"));
  std::vector<LayoutItem> items;
  for (skipLines(); !accept("}"); skipLines()) {
    QUANTC_ASSIGN(LayoutItem item, layoutItem());
    items.push_back(std::move(item));
  }
  return items;
}

Result<LayoutItem> Parser::layoutItem() {
  LayoutItem item{.kind = LayoutItem::Cells, .position = here()};
  if (accept("for")) {
    item.kind = LayoutItem::Loop;
    do {
      QUANTC_ASSIGN(std::string variable, name("a loop variable"));
      QUANTC_TRY(expect(":"));
      QUANTC_ASSIGN(ExprPtr count, expr());
      item.loops.emplace_back(std::move(variable), count);
    } while (!is("{"));
    QUANTC_ASSIGN(item.body, layout());
    return item;
  }
  if (accept("pad")) {
    item.kind = LayoutItem::Pad;
    QUANTC_ASSIGN(item.value, primary());
    return item;
  }
  if (accept("(")) {
    item.kind = LayoutItem::Constant;
    QUANTC_ASSIGN(item.value, expr());
    QUANTC_TRY(expect(")"));
    return item;
  }
  QUANTC_ASSIGN(item.field, name("a field, 'for', 'pad' or '}'"));
  QUANTC_ASSIGN(item.index, indices());
  if (accept(".")) {
    QUANTC_ASSIGN(item.low, primary());
    item.high = item.low;
    if (accept("..")) {
      QUANTC_ASSIGN(item.high, primary());
    }
  }
  static const std::pair<const char *, Operator> transforms[] = {{"+", Operator::Add}, {"-", Operator::Sub}, {"^", Operator::Xor}};
  for (auto &[text, op] : transforms)
    if (!item.transform && accept(text)) {
      item.transform = op;
      QUANTC_ASSIGN(item.delta, primary());
    }
  if (accept("if")) {
    QUANTC_ASSIGN(item.guard, expr());
  }
  return item;
}

//===--- Statements ---------------------------------------------------------------------------------------------===//

Status Parser::declare(const std::string &name, Position position) {
  if (std::ranges::find(reserved, name) != std::end(reserved))
    return error(position, fmt::format("'{}' is a name of the language", name));
  auto [it, fresh] = declared.emplace(name, position);
  if (!fresh)
    return error(position, fmt::format("'{}' is already declared on line {}", name, it->second.line));
  return {};
}

Result<ScopeDecl> Parser::scope() {
  static const std::pair<const char *, ScopeDecl::Kind> words[] = {
      {"weight", ScopeDecl::Weight}, {"row", ScopeDecl::Row}, {"tensor", ScopeDecl::Tensor}, {"block", ScopeDecl::Block}};
  ScopeDecl scope{.kind = ScopeDecl::Tile, .position = here()};
  for (auto &[text, kind] : words)
    if (accept(text)) {
      scope.kind = kind;
      return scope;
    }
  QUANTC_ASSIGN(scope.columns, binary(shiftLevel));
  if (accept("by")) {
    scope.rows = scope.columns;
    QUANTC_ASSIGN(scope.columns, binary(shiftLevel));
  }
  scope.flat = accept("flat");
  return scope;
}

Result<ParamValue> Parser::paramValue() {
  if (peek().kind == FormatToken::Name)
    return ParamValue(next().text);
  QUANTC_ASSIGN(int64_t value, integer());
  return ParamValue(value);
}

Result<ParamChoice> Parser::choice() {
  QUANTC_ASSIGN(ParamValue first, paramValue());
  if (auto *word = std::get_if<std::string>(&first))
    return ParamChoice{*word};
  int64_t low = std::get<int64_t>(first), high = low;
  if (accept("..")) {
    QUANTC_ASSIGN(high, integer());
  }
  return ParamChoice{std::pair(low, high)};
}

Status Parser::param(Position position) {
  ParamDecl param;
  QUANTC_ASSIGN(param.name, name());
  QUANTC_TRY(declare(param.name, position));
  QUANTC_TRY(expect("="));
  param.position = here();
  QUANTC_ASSIGN(param.fallback, paramValue());
  QUANTC_TRY(expect("in"));
  QUANTC_TRY(list([&]() -> Status {
    QUANTC_ASSIGN(ParamChoice one, choice());
    param.choices.push_back(one);
    return {};
  }));
  if (accept("as")) {
    QUANTC_ASSIGN(param.prefix, name());
  }
  out->params.push_back(std::move(param));
  return {};
}

/// Numbers on the line, or in parentheses on several lines. One float makes all of them floats.
Status Parser::tableNumbers(Table &table) {
  const bool open = accept("(");
  while (!is(")") && peek().kind != FormatToken::LineEnd) {
    const bool negative = accept("-");
    if (peek().kind != FormatToken::Integer && peek().kind != FormatToken::Float)
      return expected("a number");
    const FormatToken &token = next();
    table.isFloat |= token.kind == FormatToken::Float;
    const float number = token.kind == FormatToken::Float ? token.number : static_cast<float>(token.integer);
    table.integers.push_back(negative ? -token.integer : token.integer);
    table.floats.push_back(negative ? -number : number);
  }
  if (open)
    QUANTC_TRY(expect(")"));
  if (table.integers.empty())
    return expected("a number");
  table.shape = {static_cast<int64_t>(table.integers.size())};
  (table.isFloat ? static_cast<void>(table.integers.clear()) : table.floats.clear());
  return {};
}

/// First line "bits W levels a b c ...", then hexadecimal numbers: digit j (W bits) of number e selects the level of [e][j].
Status Parser::tableFile(Table &table) {
  auto wrong = [&](std::string_view what) { return error(table.position, what); };
  int64_t size = 1;
  QUANTC_TRY(list([&]() -> Status {
    const Position place = here();
    QUANTC_ASSIGN(int64_t extent, integer());
    if (extent < 1 || extent > largestTable || (size *= extent) > largestTable)
      return error(place, fmt::format("a table has 1..{} numbers", largestTable));
    table.shape.push_back(extent);
    return {};
  }));
  QUANTC_TRY(expect("]"));
  QUANTC_TRY(expect("from"));
  QUANTC_ASSIGN(std::string fileName, string());
  if (table.shape.size() != 2)
    return wrong("a table in a file has two extents");
  auto text = loadTable(fileName);
  if (!text)
    return wrong(fmt::format("table file \"{}\" not found", fileName));
  std::string_view rest = *text;
  auto word = [&]() -> std::string_view {
    rest.remove_prefix(std::min(rest.find_first_not_of(" \t\r\n"), rest.size()));
    std::string_view w = rest.substr(0, rest.find_first_of(" \t\r\n"));
    rest.remove_prefix(w.size());
    return w;
  };
  auto number = [&](std::string_view w, int base) -> std::optional<int64_t> {
    int64_t value = 0;
    auto [end, failure] = std::from_chars(w.data(), w.data() + w.size(), value, base);
    return failure == std::errc() && end == w.data() + w.size() && !w.empty() ? std::optional(value) : std::nullopt;
  };
  const std::string head = std::string(rest.substr(0, rest.find('\n')));
  const size_t headEnd = rest.size() - std::min(head.size(), rest.size());
  const bool bits = word() == "bits";
  auto width = number(word(), 10);
  const bool levels = word() == "levels";
  if (!bits || !levels || !width || *width < 1 || *width > 8 || *width * table.shape[1] > 63)
    return wrong(fmt::format("table file \"{}\" does not begin with 'bits W levels a b c …'", fileName));
  std::vector<int64_t> values;
  while (rest.size() > headEnd) {
    std::string_view w = word();
    auto level = number(w, 10);
    if (!level)
      return wrong(fmt::format("table file \"{}\": '{}' is no level", fileName, w));
    values.push_back(*level);
  }
  int64_t entries = 0;
  for (std::string_view w = word(); !w.empty(); w = word(), entries++) {
    auto code = number(w, 16);
    if (!code || entries >= table.shape[0])
      return wrong(fmt::format("table file \"{}\" has more than {} entries, or '{}' is none", fileName, table.shape[0], w));
    for (int64_t j = 0; j < table.shape[1]; j++) {
      const auto digit = static_cast<size_t>(*code >> (*width * j) & ((1 << *width) - 1));
      if (digit >= values.size())
        return wrong(fmt::format("table file \"{}\": '{}' selects level {} of {}", fileName, w, digit, values.size()));
      table.integers.push_back(values[digit]);
    }
  }
  if (entries != table.shape[0])
    return wrong(fmt::format("table file \"{}\" has {} entries, not {}", fileName, entries, table.shape[0]));
  return {};
}

Status Parser::table(Position position) {
  Table table{.position = position};
  QUANTC_ASSIGN(table.name, name());
  QUANTC_TRY(declare(table.name, position));
  if (accept("[")) {
    QUANTC_TRY(tableFile(table));
  } else {
    QUANTC_TRY(expect("="));
    QUANTC_TRY(tableNumbers(table));
  }
  if (!table.isFloat)
    std::tie(table.lowest, table.highest) = std::pair(*std::ranges::min_element(table.integers), *std::ranges::max_element(table.integers));
  out->tables.push_back(std::move(table));
  return {};
}

Status Parser::block(Position position) {
  if (out->block)
    return error(position, "a format has one 'block'");
  BlockDecl block{.position = position};
  QUANTC_ASSIGN(block.columns, expr());
  if (accept("by")) {
    block.rows = block.columns;
    QUANTC_ASSIGN(block.columns, expr());
  }
  QUANTC_TRY(expect(":"));
  QUANTC_ASSIGN(block.bytes, expr());
  QUANTC_TRY(expect("bytes"));
  QUANTC_ASSIGN(block.layout, layout());
  out->block = std::move(block);
  return {};
}

Status Parser::encode(Position position) {
  EncodeClause clause{.position = position};
  if (peek().kind == FormatToken::Name)
    clause.statistic = next().text;
  QUANTC_TRY(expect("{"));
  for (skipLines(); !accept("}"); skipLines()) {
    EncodeStep step{.position = here()};
    QUANTC_TRY(list([&]() -> Status {
      Position place = here();
      QUANTC_ASSIGN(std::string result, name());
      step.results.emplace_back(place, std::move(result));
      return {};
    }));
    if (accept("per")) {
      QUANTC_ASSIGN(step.scope, scope());
    }
    QUANTC_TRY(expect("="));
    QUANTC_ASSIGN(step.value, expr());
    QUANTC_TRY(lineEnd());
    clause.steps.push_back(std::move(step));
  }
  out->encodes.push_back(std::move(clause));
  return {};
}

Result<DimensionDecl> Parser::dimension() {
  DimensionDecl dimension;
  dimension.star = accept("*");
  if (dimension.star)
    return dimension;
  if (peek().kind == FormatToken::Name && peek(1).text == ":") {
    dimension.variable = next().text;
    next();
  }
  QUANTC_ASSIGN(dimension.extent, expr());
  return dimension;
}

Status Parser::tensor(Position position) {
  TensorDecl tensor{.position = position};
  QUANTC_ASSIGN(tensor.suffix, string());
  QUANTC_TRY(expect(":"));
  QUANTC_ASSIGN(tensor.type, name("a type"));
  QUANTC_TRY(expect("["));
  if (!is("]"))
    QUANTC_TRY(list([&]() -> Status {
      QUANTC_ASSIGN(DimensionDecl one, dimension());
      tensor.dimensions.push_back(std::move(one));
      return {};
    }));
  QUANTC_TRY(expect("]"));
  if (accept("if")) {
    QUANTC_ASSIGN(tensor.condition, expr());
  }
  QUANTC_ASSIGN(tensor.layout, layout());
  out->tensors.push_back(std::move(tensor));
  return {};
}

Status Parser::fieldOrDefinition() {
  std::vector<std::pair<Position, std::string>> names;
  QUANTC_TRY(list([&]() -> Status {
    Position position = here();
    QUANTC_ASSIGN(std::string text, name("a declaration"));
    names.emplace_back(position, std::move(text));
    return {};
  }));
  if (names.size() == 1 && accept("=")) {
    QUANTC_TRY(declare(names[0].second, names[0].first));
    QUANTC_ASSIGN(ExprPtr value, expr());
    out->definitions.push_back({names[0].second, names[0].first, value});
    return {};
  }
  if (!accept(":"))
    return expected("':' or '='");
  FieldDecl field{.typePosition = here()};
  QUANTC_ASSIGN(field.type, name("a type"));
  if (accept("(")) {
    QUANTC_ASSIGN(field.width, expr());
    QUANTC_TRY(expect(")"));
  }
  QUANTC_ASSIGN(field.array, indices());
  QUANTC_TRY(expect("per"));
  QUANTC_ASSIGN(field.scope, scope());
  if (accept("if")) {
    QUANTC_ASSIGN(field.condition, expr());
    if (accept("else")) {
      QUANTC_ASSIGN(field.otherwise, expr());
    }
  }
  field.extra = accept("extra");
  for (auto &[position, text] : names) {
    QUANTC_TRY(declare(text, position));
    field.name = text;
    field.position = position;
    out->fields.push_back(field);
  }
  return {};
}

Status Parser::statement() {
  const Position position = here();
  if (accept("flag")) {
    ParamDecl flag{.position = position, .fallback = int64_t(0), .choices = {{std::pair<int64_t, int64_t>(0, 1)}}, .flag = true};
    QUANTC_ASSIGN(flag.name, name());
    QUANTC_TRY(declare(flag.name, position));
    flag.prefix = flag.name;
    out->params.push_back(std::move(flag));
    return {};
  }
  if (accept("param"))
    return param(position);
  if (accept("table"))
    return table(position);
  if (accept("block"))
    return block(position);
  if (accept("encode"))
    return encode(position);
  if (accept("require")) {
    QUANTC_ASSIGN(ExprPtr condition, expr());
    QUANTC_ASSIGN(std::string message, string());
    out->requirements.push_back({condition, message, position});
    return {};
  }
  if (out->isContainer && accept("tensor"))
    return tensor(position);
  if (out->isContainer && accept("carries")) {
    QUANTC_ASSIGN(std::string carried, name());
    out->carries.push_back(carried);
    return {};
  }
  if (out->isContainer && accept("type")) {
    QUANTC_ASSIGN(std::string format, name());
    QUANTC_TRY(expect("="));
    QUANTC_ASSIGN(int64_t id, integer());
    out->types.emplace_back(format, id);
    return {};
  }
  if (out->isContainer && accept("config")) {
    ConfigDecl config;
    QUANTC_ASSIGN(config.key, string());
    QUANTC_TRY(expect("="));
    if (peek().kind == FormatToken::String) {
      config.value = next().text;
    } else {
      QUANTC_ASSIGN(config.value, expr());
    }
    out->config.push_back(std::move(config));
    return {};
  }
  return fieldOrDefinition();
}

Result<std::shared_ptr<const Description>> Parser::run() {
  skipLines();
  out->position = here();
  out->isContainer = is("container");
  if (!accept("format") && !accept("container"))
    return expected("'format' or 'container'");
  QUANTC_ASSIGN(out->name, name());
  if (peek().kind == FormatToken::String)
    out->doc = next().text;
  QUANTC_TRY(lineEnd());
  for (skipLines(); peek().kind != FormatToken::End; skipLines()) {
    QUANTC_TRY(statement());
    QUANTC_TRY(lineEnd());
  }
  for (const ParamDecl &p : out->params)
    if (!p.allows(p.fallback))
      return error(p.position, fmt::format("default {} of '{}' is not among its choices",
                                           std::visit([](auto &v) { return fmt::format("{}", v); }, p.fallback), p.name));
  return out;
}
} // namespace

Result<std::shared_ptr<const Description>> quantc::parseDescription(std::string_view text, const std::string &file,
                                                                    const TableLoader &tables) {
  if (text.size() > (1u << 20))
    return fail("{}: {} bytes; a description has at most 1048576", file, text.size());
  QUANTC_ASSIGN(auto tokens, tokenizeDescription(text, file));
  return Parser(std::move(tokens), file, tables).run();
}
