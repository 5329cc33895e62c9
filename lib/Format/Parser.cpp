//===- Parser.cpp - statements of descriptions ------------------------------------------------------------------===//

#include "Parser.h"

using namespace quantc;

/// Names that stand for something in every format: coordinates and extents of a weight, what is encoded, a whole block.
static constexpr std::string_view reserved[] = {"i", "n", "k", "N", "K", "x", "im", "block"};

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

template <typename T> static const T *findNamed(const std::vector<T> &all, std::string_view name) {
  auto it = std::ranges::find(all, name, &T::name);
  return it == all.end() ? nullptr : &*it;
}
const Definition *Description::definition(std::string_view name) const {
  return findNamed(definitions, name);
}
const FieldDecl *Description::field(std::string_view name) const {
  return findNamed(fields, name);
}
const Table *Description::table(std::string_view name) const {
  return findNamed(tables, name);
}

Status DescriptionParser::declare(const std::string &name, Position position) {
  if (std::ranges::find(reserved, name) != std::end(reserved))
    return error(position, fmt::format("'{}' is a name of the language", name));
  auto [it, fresh] = declared.emplace(name, position);
  if (!fresh)
    return error(position, fmt::format("'{}' is already declared on line {}", name, it->second.line));
  return {};
}

Result<ScopeDecl> DescriptionParser::scope() {
  static const std::pair<const char *, ScopeDecl::Kind> words[] = {{"weight", ScopeDecl::Weight},
                                                                   {"row", ScopeDecl::Row},
                                                                   {"tensor", ScopeDecl::Tensor},
                                                                   {"block", ScopeDecl::Block}};
  ScopeDecl scope{.kind = ScopeDecl::Tile, .position = here()};
  for (auto &[text, kind] : words)
    if (accept(text)) {
      scope.kind = kind;
      return scope;
    }
  QUANTC_ASSIGN(scope.columns, binary(scopeLevel));
  if (accept("by")) {
    scope.rows = scope.columns;
    QUANTC_ASSIGN(scope.columns, binary(scopeLevel));
  }
  scope.flat = accept("flat");
  return scope;
}

Result<ParamValue> DescriptionParser::paramValue() {
  if (peek().kind == FormatToken::Name)
    return ParamValue(next().text);
  QUANTC_ASSIGN(int64_t value, integer());
  return ParamValue(value);
}

Result<ParamChoice> DescriptionParser::choice() {
  QUANTC_ASSIGN(ParamValue first, paramValue());
  if (auto *word = std::get_if<std::string>(&first))
    return ParamChoice{*word};
  int64_t low = std::get<int64_t>(first), high = low;
  if (accept("..")) {
    QUANTC_ASSIGN(high, integer());
  }
  return ParamChoice{std::pair(low, high)};
}

Status DescriptionParser::param(Position position) {
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

Status DescriptionParser::block(Position position) {
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

Status DescriptionParser::encode(Position position) {
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

Result<DimensionDecl> DescriptionParser::dimension() {
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

Status DescriptionParser::tensor(Position position) {
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
  tensor.order = accept("order");
  QUANTC_ASSIGN(tensor.layout, layout());
  out->tensors.push_back(std::move(tensor));
  return {};
}

Status DescriptionParser::fieldOrDefinition() {
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

Status DescriptionParser::statement() {
  const Position position = here();
  if (accept("flag")) {
    ParamDecl flag{
        .position = position, .fallback = int64_t(0), .choices = {{std::pair<int64_t, int64_t>(0, 1)}}, .flag = true};
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
    while (accept(":")) {
      QUANTC_ASSIGN(const std::string parameter, name());
      carried += ":" + parameter;
    }
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
  for (bool written : {false, true})
    if (out->isContainer && accept(written ? "export" : "config")) {
      QUANTC_ASSIGN(SettingDecl entry, setting());
      entry.writtenOnly = written;
      out->config.push_back(std::move(entry));
      return {};
    }
  if (out->isContainer && accept("json"))
    return json(position);
  if (out->isContainer && accept("alias")) {
    QUANTC_ASSIGN(std::string alias, string());
    out->aliases.push_back(std::move(alias));
    return {};
  }
  return fieldOrDefinition();
}

Result<std::shared_ptr<const Description>> DescriptionParser::run() {
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
      return error(p.position,
                   fmt::format("default {} of '{}' is not among its choices",
                               std::visit([](auto &v) { return fmt::format("{}", v); }, p.fallback), p.name));
  return out;
}

Result<std::shared_ptr<const Description>> quantc::parseDescription(std::string_view text, const std::string &file,
                                                                    const TableLoader &tables) {
  if (text.size() > (1u << 20))
    return fail("{}: {} bytes; a description has at most 1048576", file, text.size());
  QUANTC_ASSIGN(auto tokens, tokenizeDescription(text, file));
  return DescriptionParser(std::move(tokens), file, tables).run();
}
