//===- ParseExpression.cpp - expressions ------------------------------------------------------------------------===//

#include "Parser.h"

using namespace quantc;

/// Operators of one expression.
static constexpr int longest = 300;

/// Loosest first; comparisons do not chain.
static const std::vector<std::pair<const char *, Operator>> levels[] = {
    {{"==", Operator::Eq},
     {"!=", Operator::Ne},
     {"<", Operator::Lt},
     {"<=", Operator::Le},
     {">", Operator::Gt},
     {">=", Operator::Ge}},
    {{"|", Operator::Or}},
    {{"^", Operator::Xor}},
    {{"&", Operator::And}},
    {{"<<", Operator::Shl}, {">>", Operator::Shr}},
    {{"+", Operator::Add}, {"-", Operator::Sub}},
    {{"*", Operator::Mul}, {"/", Operator::Div}, {"%", Operator::Rem}}};

static ExprPtr make(Expr e) {
  return std::make_shared<const Expr>(std::move(e));
}

Result<ExprPtr> DescriptionParser::expr() {
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

Result<ExprPtr> DescriptionParser::binary(size_t level) {
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

Result<ExprPtr> DescriptionParser::unary() {
  static const std::pair<const char *, Operator> prefixes[] = {
      {"-", Operator::Neg}, {"!", Operator::Not}, {"~", Operator::Complement}};
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

Result<ExprPtr> DescriptionParser::primary() {
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

Result<ExprPtr> DescriptionParser::call(std::string function, Position position) {
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

Result<std::vector<ExprPtr>> DescriptionParser::indices() {
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

Result<int64_t> DescriptionParser::integer() {
  const bool negative = accept("-");
  if (peek().kind != FormatToken::Integer)
    return expected("an integer");
  const int64_t value = next().integer;
  return negative ? -value : value;
}
