//===- Factoring.cpp - the normal form of a dot product with a format -------------------------------------------===//

#include "quantc/Format/Factoring.h"
#include "quantc/Format/Arithmetic.h"
#include "quantc/Format/Decode.h"
#include <algorithm>
#include <cmath>
#include <numeric>

using namespace quantc;

/// Sums that multiply out to more terms than this stay factors.
static constexpr size_t mostTerms = 64;

//===--- Text ---------------------------------------------------------------------------------------------------===//

static std::string_view spelling(Operator op) {
  static constexpr std::string_view words[] = {"-", "!", "~", "|",  "^",  "&", "<<", ">>", "+", "-",
                                               "*", "/", "%", "==", "!=", "<", "<=", ">",  ">="};
  return words[static_cast<int>(op)];
}

/// How tightly an operator binds; everything that is not one binds tighter.
static int level(Operator op) {
  switch (op) {
  case Operator::Or:
    return 1;
  case Operator::Xor:
    return 2;
  case Operator::And:
    return 3;
  case Operator::Shl:
  case Operator::Shr:
    return 4;
  case Operator::Add:
  case Operator::Sub:
    return 5;
  case Operator::Mul:
  case Operator::Div:
  case Operator::Rem:
    return 6;
  case Operator::Neg:
  case Operator::Not:
  case Operator::Complement:
    return 8;
  default:
    return 0; // comparisons
  }
}
static constexpr int tight = 7;

static std::string show(const Expr &e, int around = 0) {
  auto list = [&](std::string_view between) {
    std::string text;
    for (const ExprPtr &a : e.args)
      text += (text.empty() ? "" : std::string(between)) + show(*a);
    return text;
  };
  switch (e.kind) {
  case ExprKind::Integer: {
    const uint64_t magnitude = e.integer < 0 ? 0 - static_cast<uint64_t>(e.integer) : static_cast<uint64_t>(e.integer);
    return magnitude < 1 << 20 ? fmt::format("{}", e.integer)
                               : fmt::format("{}{:#x}", e.integer < 0 ? "-" : "", magnitude);
  }
  case ExprKind::Float:
    return fmt::format("{:.10g}", static_cast<double>(e.number));
  case ExprKind::Name:
    return e.args.empty() ? e.name : fmt::format("{}[{}]", e.name, list("]["));
  case ExprKind::Call:
    return fmt::format("{}({})", e.name, list(", "));
  case ExprKind::Sum:
    return fmt::format("sum({}:{}, {})", e.name, show(*e.args[0]), show(*e.args[1]));
  case ExprKind::Unary:
    return fmt::format("{}{}", spelling(e.op), show(*e.args[0], level(e.op) + 1));
  case ExprKind::Select:
    return fmt::format("({} ? {} : {})", show(*e.args[0]), show(*e.args[1]), show(*e.args[2]));
  case ExprKind::Binary: {
    const int own = level(e.op);
    const std::string text = fmt::format("{} {} {}", show(*e.args[0], own), spelling(e.op), show(*e.args[1], own + 1));
    return around > own ? "(" + text + ")" : text;
  }
  }
  return {};
}

std::string quantc::expressionText(const Expr &e) {
  return show(e);
}

static std::string show(const Factor &f, int around) {
  return f.exponent ? fmt::format("({}*{})", 1 << f.exponent, show(*f.expr, tight)) : show(*f.expr, around);
}

//===--- Runs ---------------------------------------------------------------------------------------------------===//

/// The run of integers that are known for each weight of a block.
static int64_t measuredRun(const std::vector<int64_t> &values, int64_t columns) {
  if (std::ranges::adjacent_find(values, std::ranges::not_equal_to()) == values.end())
    return 0;
  for (int64_t run = columns; run > 1; run--) {
    if (columns % run)
      continue;
    bool constant = true;
    for (size_t at = 0; at < values.size() && constant; at++)
      constant = values[at] == values[at - at % static_cast<size_t>(run)];
    if (constant)
      return run;
  }
  return 1;
}

bool quantc::readsName(const Expr &e, std::string_view name) {
  return (e.kind == ExprKind::Name && e.name == name) ||
         std::ranges::any_of(e.args, [&](const ExprPtr &a) { return readsName(*a, name); });
}

int64_t quantc::constantRun(const Format &format, const ExprPtr &e) {
  if (e->kind == ExprKind::Integer || e->kind == ExprKind::Float)
    return 0;
  if (readsName(*e, "k")) // one block is not like the next
    return 1;
  if (!format.readsField(*e)) {
    if (auto values = integersOverBlock(format, e))
      return measuredRun(*values, format.block() ? format.block()->columns : static_cast<int64_t>(values->size()));
    if (e->kind == ExprKind::Name && !format.table(e->name))
      return 1; // the variable of a sum around
  }
  int64_t run = 0;
  if (const Field *f = e->kind == ExprKind::Name ? format.field(e->name) : nullptr)
    run = f->columns;
  for (const ExprPtr &a : e->args)
    run = std::gcd(run, constantRun(format, a));
  return run;
}

//===--- Functions of one field ---------------------------------------------------------------------------------===//

/// Whether an expression is made of numbers, tables and cells of `field` alone; sets `field` where it is null.
static bool readsOnly(const Format &format, const Expr &e, const Field *&field) {
  if (e.kind == ExprKind::Sum)
    return false;
  if (e.kind == ExprKind::Name && !format.table(e.name)) {
    const Field *f = format.field(e.name);
    if (!f || (field && field != f))
      return false;
    field = f;
  }
  return std::ranges::all_of(e.args, [&](const ExprPtr &a) { return readsOnly(format, *a, field); });
}

/// The values of an expression for each pattern of the bits of the only field that it reads, a scalar of at most 8
/// bits; nothing for other expressions. Integers are exact.
static std::optional<std::vector<double>> overField(const Format &format, const ExprPtr &e, const Field *&field) {
  if (!readsOnly(format, *e, field) || !field || field->width > 8 || !field->array.empty())
    return std::nullopt;
  auto program = Program::compile(format, e);
  if (!program)
    return std::nullopt;
  // Other fields are not read: their cells need not exist.
  FieldValues cells(format.fields().size());
  const auto block = format.block().value_or(BlockShape{1, 1, 0});
  std::vector<double> values;
  for (uint64_t pattern = 0; pattern < uint64_t(1) << field->width; pattern++) {
    cells[field->index].assign(static_cast<size_t>(format.cellCount(*field, block.rows, block.columns)), pattern);
    int64_t integer = 0;
    float number = 0;
    if (program->type() == ValueType::Integer)
      program->integers(cells, block.rows, block.columns, 0, 0, 1, &integer);
    else
      program->floats(cells, block.rows, block.columns, 0, 0, 1, &number);
    values.push_back(program->type() == ValueType::Integer ? static_cast<double>(integer)
                                                           : static_cast<double>(number));
  }
  return values;
}

//===--- Factoring ----------------------------------------------------------------------------------------------===//

namespace {
struct Product {
  bool negative = false;
  std::vector<ExprPtr> factors;
};

/// Multiplies out what kernels want apart.
class Expansion {
public:
  explicit Expansion(const Format &format) : format(format) {}
  std::vector<Product> expand(const ExprPtr &e) const;

private:
  std::optional<std::vector<Product>> expandBinary(const Expr &e, bool isFloat, bool differs) const;
  const Format &format;
};
} // namespace

static ExprPtr floatLiteral(Position position, float value) {
  return std::make_shared<const Expr>(Expr{.kind = ExprKind::Float, .position = position, .number = value});
}

std::vector<Product> Expansion::expand(const ExprPtr &e) const {
  if (e->kind == ExprKind::Unary && e->op == Operator::Neg) {
    auto products = expand(e->args[0]);
    for (Product &p : products)
      p.negative = !p.negative;
    return products;
  }
  if (e->kind == ExprKind::Binary)
    if (auto products = expandBinary(*e, format.typeOf(*e) == ValueType::Float, constantRun(format, e) == 1);
        products && products->size() <= mostTerms)
      return *products;
  return {{false, {e}}};
}

std::optional<std::vector<Product>> Expansion::expandBinary(const Expr &e, bool isFloat, bool differs) const {
  const ExprPtr &a = e.args[0], &b = e.args[1];
  if (e.op == Operator::Mul) {
    std::vector<Product> products;
    const auto right = expand(b);
    for (const Product &l : expand(a))
      for (const Product &r : right) {
        products.push_back({l.negative != r.negative, l.factors});
        products.back().factors.insert(products.back().factors.end(), r.factors.begin(), r.factors.end());
      }
    return products;
  }
  if (e.op == Operator::Div && isFloat && constantRun(format, b) != 1) {
    Expr reciprocal = e;
    reciprocal.args[0] = floatLiteral(e.position, 1);
    auto products = expand(a);
    for (Product &p : products)
      p.factors.push_back(std::make_shared<const Expr>(reciprocal));
    return products;
  }
  if ((e.op == Operator::Add || e.op == Operator::Sub) && differs) {
    // Of integers only a zero point that a field holds is taken apart; `q - 8` stays one code.
    const ExprPtr *shared = constantRun(format, a) != 1 ? &a : constantRun(format, b) != 1 ? &b : nullptr;
    if (!isFloat && !(shared && format.readsField(**shared)))
      return std::nullopt;
    auto products = expand(a);
    for (Product &p : expand(b)) {
      p.negative ^= e.op == Operator::Sub;
      products.push_back(std::move(p));
    }
    return products;
  }
  return std::nullopt;
}

/// An expression as factors: two where it is f32 and takes only multiples of 2^-p below 128 * 2^-p, as functions of one
/// field of at most 8 bits do (0.5 + sc is 0.5 times the integer 2 * sc + 1).
static std::vector<Factor> factorsOf(const Format &format, const ExprPtr &e) {
  Factor whole{.expr = e, .run = constantRun(format, e), .integer = format.typeOf(*e) == ValueType::Integer};
  if (whole.integer) {
    whole.range = format.rangeOf(*e);
    return {whole};
  }
  const Field *field = nullptr;
  const auto values = overField(format, e, field);
  for (unsigned p = 1; values && p <= 8; p++) {
    auto multiple = [p](double v) {
      return std::isfinite(v) && std::ldexp(v, p) == std::rint(std::ldexp(v, p)) && std::abs(std::ldexp(v, p)) < 128;
    };
    if (!std::ranges::all_of(*values, multiple))
      continue;
    whole.exponent = p;
    whole.integer = true;
    const auto [low, high] = std::ranges::minmax(*values);
    whole.range = {static_cast<int64_t>(std::ldexp(low, p)), static_cast<int64_t>(std::ldexp(high, p))};
    return {{.expr = floatLiteral(e->position, std::ldexp(1.0f, -static_cast<int>(p)))}, whole};
  }
  return {whole};
}

static int64_t saturatingProduct(int64_t a, int64_t b) {
  int64_t product;
  if (!__builtin_mul_overflow(a, b, &product))
    return product;
  return (a < 0) == (b < 0) ? INT64_MAX : INT64_MIN;
}

static Interval productOf(const std::vector<Factor> &factors) {
  Interval range{1, 1};
  for (const Factor &f : factors) {
    const int64_t ends[] = {saturatingProduct(range.low, f.range.low), saturatingProduct(range.low, f.range.high),
                            saturatingProduct(range.high, f.range.low), saturatingProduct(range.high, f.range.high)};
    const auto [low, high] = std::ranges::minmax(ends);
    range = {low, high};
  }
  return range;
}

std::pair<bool, Interval> DotTerm::innerFactors(int64_t columns) const {
  std::vector<Factor> inner;
  std::ranges::copy_if(group, std::back_inserter(inner), [&](const Factor &f) { return !f.isConstantOver(columns); });
  return {std::ranges::all_of(inner, &Factor::integer), productOf(inner)};
}

Factoring::Factoring(std::shared_ptr<const Format> f) : format(std::move(f)) {
  for (const Product &product : Expansion(*format).expand(format->value())) {
    DotTerm term{.negative = product.negative};
    auto coarse = [](const Factor &factor) { return factor.run == 0 ? INT64_MAX : factor.run; };
    for (const ExprPtr &e : product.factors)
      for (Factor &factor : factorsOf(*format, e))
        if (factor.run == 1)
          term.code.push_back(std::move(factor));
        else // behind those that are as coarse
          term.group.insert(std::ranges::upper_bound(term.group, coarse(factor), std::ranges::greater(), coarse),
                            std::move(factor));
    if (!term.code.empty()) {
      term.kind = std::ranges::all_of(term.code, &Factor::integer) ? CodeKind::Integer : CodeKind::Float;
      if (term.kind == CodeKind::Integer)
        term.range = productOf(term.code);
    }
    dotTerms.push_back(std::move(term));
  }
}

std::string Factoring::text() const {
  std::string text;
  for (const DotTerm &term : dotTerms) {
    text += text.empty() ? "" : "\n";
    text += term.negative ? "- " : "+ ";
    for (const Factor &f : term.group) {
      text += show(f, tight);
      if (f.expr->kind != ExprKind::Integer && f.expr->kind != ExprKind::Float)
        text += fmt::format("⟨{}{}⟩", f.run ? std::to_string(f.run) : "row", f.integer ? ", int" : "");
      text += " · ";
    }
    std::string code;
    for (const Factor &f : term.code)
      code += (code.empty() ? "" : " · ") + show(f, term.code.size() > 1 ? tight : 0);
    if (term.kind == CodeKind::None)
      text += "Σ x";
    else if (term.kind == CodeKind::Integer)
      text += fmt::format("Σ int[{}..{}]({})·x", term.range.low, term.range.high, code);
    else
      text += fmt::format("Σ float({})·x", code);
  }
  return text;
}

Factoring Factoring::withMultipliers(int64_t group, bool narrow) const {
  constexpr int64_t largestActivation = 127;
  Factoring result = *this;
  for (DotTerm &term : result.dotTerms) {
    const auto [integer, inner] = term.innerFactors(group);
    term.product = productOf({Factor{.range = term.range}, Factor{.range = inner}});
    if (term.kind == CodeKind::None) {
      if (!narrow)
        return *this;
      continue;
    }
    const int64_t largest = std::max(term.product.high, -std::max(term.product.low, -INT64_MAX));
    if (term.kind != CodeKind::Integer || !integer || saturatingProduct(largest, largestActivation * group) > INT32_MAX)
      return *this;
    auto isInner = [&](const Factor &factor) { return !factor.isConstantOver(group); };
    std::ranges::copy_if(term.group, std::back_inserter(term.multipliers), isInner);
    std::erase_if(term.group, isInner);
  }
  return result.hasMultipliers() ? result : *this;
}

bool Factoring::hasMultipliers() const {
  return std::ranges::any_of(dotTerms, [](const DotTerm &term) { return !term.multipliers.empty(); });
}

bool Factoring::isIntegerDot() const {
  bool any = false;
  for (const DotTerm &term : dotTerms) {
    if (term.kind == CodeKind::None)
      continue;
    const bool isSigned = term.range.low >= -128 && term.range.high <= 127,
               isUnsigned = term.range.low >= 0 && term.range.high <= 255;
    if (term.kind == CodeKind::Float || !(isSigned || isUnsigned) || (term.run() != 0 && term.run() < 16))
      return false;
    any = true;
  }
  return any;
}

const Field *Factoring::halfField(const DotTerm &term) const {
  if (term.code.size() != 1)
    return nullptr;
  const Expr &code = *term.code.front().expr;
  const Field *field = code.kind == ExprKind::Name && code.args.empty() ? format->field(code.name) : nullptr;
  return field && field->kind == FieldKind::BF16 ? field : nullptr;
}

bool Factoring::isHalfDot() const {
  return isHalfProduct() &&
         std::ranges::all_of(dotTerms, [](const DotTerm &term) { return term.kind == CodeKind::Float; });
}

bool Factoring::isHalfProduct() const {
  constexpr int64_t mostInteger = 256; // all integers up to it are bf16 numbers
  bool any = false;
  for (const DotTerm &term : dotTerms) {
    if (term.run() != 0 && term.run() < 16)
      return false;
    any |= term.kind != CodeKind::None;
    if (term.kind == CodeKind::Integer && std::max(-term.range.low, term.range.high) > mostInteger)
      return false;
    if (term.kind == CodeKind::Float && !halfField(term) && !numberFunction(term.code))
      return false;
  }
  return any;
}

std::optional<NumberFunction> Factoring::numberFunction(const std::vector<Factor> &factors) const {
  const Field *field = nullptr;
  std::vector<float> product;
  for (const Factor &f : factors) {
    const auto values = overField(*format, f.expr, field);
    if (!values)
      return std::nullopt;
    product.resize(values->size(), 1);
    for (size_t i = 0; i < product.size(); i++)
      product[i] *= std::ldexp(static_cast<float>((*values)[i]), static_cast<int>(f.exponent));
  }
  return field ? std::optional(NumberFunction{field, product}) : std::nullopt;
}

std::optional<FieldFunction> Factoring::fieldFunction(const std::vector<Factor> &factors) const {
  const Field *field = nullptr;
  std::vector<int64_t> product;
  for (const Factor &f : factors) {
    const auto values = f.integer ? overField(*format, f.expr, field) : std::nullopt;
    if (!values)
      return std::nullopt;
    product.resize(values->size(), 1);
    for (size_t i = 0; i < product.size(); i++)
      product[i] *= static_cast<int64_t>(std::ldexp((*values)[i], static_cast<int>(f.exponent)));
  }
  if (!field)
    return std::nullopt;
  FieldFunction function{field, product, std::nullopt};
  if (!isInteger(field->kind))
    return function;
  auto number = [&](size_t pattern) { return integerFromBits(field->kind, field->width, pattern); };
  const FieldFunction::Affine affine{(product[1] - product[0]) * number(1), product[0]};
  for (size_t pattern = 0; pattern < product.size(); pattern++)
    if (product[pattern] != affine.scale * number(pattern) + affine.offset)
      return function;
  function.affine = affine;
  return function;
}
