//===- Resolve.cpp - definitions substituted, parameters folded, names and types checked ------------------------===//

#include "Resolve.h"
#include "quantc/Format/Arithmetic.h"
#include "quantc/Format/Decode.h"
#include <algorithm>

using namespace quantc;

/// Limits of a resolved expression, so that definitions that use each other many times cannot explode.
static constexpr int deepest = 500, largest = 5000;
static constexpr int64_t mostEnumeration = 1 << 26;

static ExprPtr integerAt(Position position, int64_t value) {
  return std::make_shared<const Expr>(Expr{.kind = ExprKind::Integer, .position = position, .integer = value});
}

static ExprPtr withArgs(const Expr &e, std::vector<ExprPtr> args) {
  Expr copy = e;
  copy.args = std::move(args);
  return std::make_shared<const Expr>(std::move(copy));
}

static const std::pair<const char *, size_t> functions[] = {{"bits_f32", 1},   {"bits_f16", 1}, {"round_f16", 1},
                                                            {"round_bf16", 1}, {"parity", 1},   {"abs", 1},
                                                            {"min", 2},        {"max", 2},      {"ceildiv", 2}};

static std::string_view spelling(Operator op) {
  static const std::string_view text[] = {"-", "!", "~", "|",  "^",  "&", "<<", ">>", "+", "-",
                                          "*", "/", "%", "==", "!=", "<", "<=", ">",  ">="};
  return text[static_cast<int>(op)];
}

static bool takesIntegers(Operator op) {
  return op == Operator::Rem || op == Operator::And || op == Operator::Or || op == Operator::Xor ||
         op == Operator::Shl || op == Operator::Shr || op == Operator::Complement || op == Operator::Not;
}

Result<ExprPtr> Resolver::resolve(const ExprPtr &e) {
  if (depth >= deepest)
    return format.error(e->position, "definitions are nested too deeply, or use themselves");
  if (++size > largest)
    return format.error(e->position,
                        fmt::format("the expression has more than {} parts once definitions are put in", largest));
  struct Deeper {
    int &depth;
    explicit Deeper(int &d) : depth(++d) {}
    ~Deeper() { depth--; }
  } deeper(depth);

  switch (e->kind) {
  case ExprKind::Integer:
  case ExprKind::Float:
    return e;
  case ExprKind::Name:
    return resolveName(e);
  case ExprKind::Select: {
    QUANTC_ASSIGN(ExprPtr condition, resolve(e->args[0]));
    if (condition->kind == ExprKind::Integer)
      return resolve(e->args[condition->integer ? 1 : 2]);
    QUANTC_ASSIGN(ExprPtr then, resolve(e->args[1]));
    QUANTC_ASSIGN(ExprPtr otherwise, resolve(e->args[2]));
    ExprPtr out = withArgs(*e, {condition, then, otherwise});
    QUANTC_TRY(checkTypes(*out));
    return out;
  }
  case ExprKind::Sum: {
    const Description &d = format.source();
    if (e->name == "n" || e->name == "k" || e->name == "i" || d.table(e->name) || d.field(e->name) ||
        d.definition(e->name))
      return format.error(e->position, fmt::format("the variable '{}' has another meaning", e->name));
    QUANTC_ASSIGN(int64_t count, constantOf(format, e->args[0], format.integers()));
    if (count < 1 || count > 4096)
      return format.error(e->args[0]->position, fmt::format("a sum of {} terms is not in 1..4096", count));
    auto outer = bounds;
    bounds[e->name] = count;
    auto body = resolve(e->args[1]);
    bounds = std::move(outer);
    if (!body)
      return body;
    return withArgs(*e, {integerAt(e->args[0]->position, count), *body});
  }
  case ExprKind::Call: {
    auto found = std::ranges::find_if(functions, [&](auto &f) { return e->name == f.first; });
    if (found == std::end(functions))
      return format.error(e->position, fmt::format("unknown function '{}'", e->name));
    if (e->args.size() != found->second || !e->named.empty())
      return format.error(e->position, fmt::format("'{}' takes {} argument(s)", e->name, found->second));
    break;
  }
  default:
    break;
  }
  std::vector<ExprPtr> args;
  for (const ExprPtr &a : e->args) {
    QUANTC_ASSIGN(ExprPtr resolved, resolve(a));
    args.push_back(std::move(resolved));
  }
  ExprPtr out = withArgs(*e, std::move(args));
  QUANTC_TRY(checkTypes(*out));
  const bool constant = std::ranges::all_of(out->args, [](const ExprPtr &a) { return a->kind == ExprKind::Integer; });
  if (constant && (out->kind == ExprKind::Binary || out->kind == ExprKind::Unary))
    return integerAt(e->position,
                     applyInteger(out->op, out->args[0]->integer, out->args.size() > 1 ? out->args[1]->integer : 0));
  return out;
}

Result<ExprPtr> Resolver::resolveName(const ExprPtr &e) {
  const std::string &name = e->name;
  used.insert(name);
  if (bounds.count(name) || name == "n" || name == "k" || (name == "i" && format.block()))
    return withArgs(*e, {});
  if (auto it = format.integers().find(name); it != format.integers().end())
    return integerAt(e->position, it->second);
  if (auto constant = format.constant(name))
    return integerAt(e->position, *constant);
  if (const Definition *definition = format.source().definition(name); definition && name != "value") {
    auto outer = std::exchange(bounds, {});
    auto value = resolve(definition->value);
    bounds = std::move(outer);
    return value;
  }
  if (const Table *table = format.table(name))
    return checkIndices(e, table->shape);
  if (const Field *field = format.field(name))
    return checkIndices(e, field->array);
  if (format.source().field(name))
    return format.error(e->position, fmt::format("field '{}' does not exist with these parameters", name));
  return format.error(e->position, fmt::format("unknown name '{}'", name));
}

Result<ExprPtr> Resolver::checkIndices(const ExprPtr &e, const std::vector<int64_t> &extents) {
  if (e->args.size() != extents.size())
    return format.error(e->position,
                        fmt::format("'{}' takes {} indices, not {}", e->name, extents.size(), e->args.size()));
  std::vector<ExprPtr> args;
  for (size_t d = 0; d < extents.size(); d++) {
    QUANTC_ASSIGN(ExprPtr index, resolve(e->args[d]));
    if (format.typeOf(*index) != ValueType::Integer)
      return format.error(index->position, fmt::format("index of '{}' is not an integer", e->name));
    Interval range = rangeOf(*index);
    if (range.low < 0 || range.high >= extents[d])
      if (auto exact = enumerated(index))
        range = *exact;
    if (range.low < 0 || range.high >= extents[d]) {
      auto end = [](int64_t v) { return v == INT64_MIN ? "-inf" : v == INT64_MAX ? "inf" : std::to_string(v); };
      return format.error(index->position, fmt::format("index of '{}' can be {}..{}, the table has 0..{}", e->name,
                                                       end(range.low), end(range.high), extents[d] - 1));
    }
    args.push_back(std::move(index));
  }
  return withArgs(*e, std::move(args));
}

Status Resolver::checkTypes(const Expr &e) const {
  auto isFloat = [&](const ExprPtr &a) { return format.typeOf(*a) == ValueType::Float; };
  const bool anyFloat = std::ranges::any_of(e.args, isFloat);
  if (e.kind == ExprKind::Select) {
    if (isFloat(e.args[0]))
      return format.error(e.position, "a condition is an integer");
    for (size_t branch : {1, 2})
      if (format.typeOf(e) == ValueType::Float && !isFloat(e.args[branch]))
        QUANTC_TRY(checkExact(e.args[branch]));
    return {};
  }
  if (e.kind == ExprKind::Call) {
    const bool ofIntegers = e.name == "bits_f32" || e.name == "bits_f16" || e.name == "parity" || e.name == "ceildiv";
    if (ofIntegers && anyFloat)
      return format.error(e.position, fmt::format("'{}' takes an integer", e.name));
    for (const ExprPtr &a : e.args)
      if (!ofIntegers && format.typeOf(e) == ValueType::Float && !isFloat(a))
        QUANTC_TRY(checkExact(a));
    if (e.name == "ceildiv")
      QUANTC_TRY(checkDivisor(e.args[1]));
    return {};
  }
  if (e.kind != ExprKind::Binary && e.kind != ExprKind::Unary)
    return {};
  if (anyFloat && takesIntegers(e.op))
    return format.error(e.position, fmt::format("'{}' takes integers", spelling(e.op)));
  if (anyFloat) {
    for (const ExprPtr &a : e.args)
      if (!isFloat(a))
        QUANTC_TRY(checkExact(a));
  } else if (e.op == Operator::Div || e.op == Operator::Rem) {
    QUANTC_TRY(checkDivisor(e.args[1]));
  }
  return {};
}

Status Resolver::checkExact(const ExprPtr &integer) const {
  const Interval range = rangeOf(*integer);
  if (range.low < -(1 << 24) || range.high > (1 << 24))
    return format.error(integer->position, "this integer can exceed 2^24: not exact as f32");
  return {};
}

Status Resolver::checkDivisor(const ExprPtr &divisor) const {
  const Interval range = rangeOf(*divisor);
  if (range.low <= 0 && range.high >= 0)
    return format.error(divisor->position, "this divisor can be 0");
  return {};
}

/// Whether an expression depends on the place of the weight in its block only.
static bool isOfBlock(const Format &format, const Expr &e) {
  const bool other = e.kind == ExprKind::Name && (format.field(e.name) || e.name == "n" || e.name == "k");
  return !other && std::ranges::all_of(e.args, [&](const ExprPtr &a) { return isOfBlock(format, *a); });
}

static int64_t partsOf(const Expr &e) {
  int64_t parts = 1;
  for (const ExprPtr &a : e.args)
    parts += partsOf(*a);
  return parts;
}

std::optional<Interval> Resolver::enumerated(const ExprPtr &e) {
  if (!format.block() || !bounds.empty() || !isOfBlock(format, *e))
    return std::nullopt;
  enumeration += partsOf(*e) * format.block()->rows * format.block()->columns;
  if (enumeration > mostEnumeration)
    return std::nullopt;
  auto values = integersOverBlock(format, e);
  if (!values)
    return std::nullopt;
  auto [low, high] = std::ranges::minmax(*values);
  return Interval{low, high};
}

Result<int64_t> quantc::constantOf(const Format &format, const ExprPtr &e,
                                   const std::map<std::string, int64_t> &environment) {
  auto notConstant = [&] { return format.error(e->position, "expected a constant integer"); };
  auto recurse = [&](size_t i) { return constantOf(format, e->args[i], environment); };
  switch (e->kind) {
  case ExprKind::Integer:
    return e->integer;
  case ExprKind::Name: {
    auto it = environment.find(e->name);
    if (!e->args.empty() || it == environment.end())
      return e->args.empty() ? format.error(e->position, fmt::format("unknown name '{}'", e->name)) : notConstant();
    return it->second;
  }
  case ExprKind::Unary: {
    QUANTC_ASSIGN(int64_t a, recurse(0));
    return applyInteger(e->op, a, 0);
  }
  case ExprKind::Binary: {
    QUANTC_ASSIGN(int64_t a, recurse(0));
    QUANTC_ASSIGN(int64_t b, recurse(1));
    if (b == 0 && (e->op == Operator::Div || e->op == Operator::Rem))
      return format.error(e->args[1]->position, "this divisor can be 0");
    return applyInteger(e->op, a, b);
  }
  case ExprKind::Select: {
    QUANTC_ASSIGN(int64_t condition, recurse(0));
    return recurse(condition ? 1 : 2);
  }
  case ExprKind::Call: {
    if (e->args.size() == 2) {
      QUANTC_ASSIGN(int64_t a, recurse(0));
      QUANTC_ASSIGN(int64_t b, recurse(1));
      if (e->name == "ceildiv" && b > 0)
        return -applyInteger(Operator::Div, -a, b);
      if (e->name == "min" || e->name == "max")
        return e->name == "min" ? std::min(a, b) : std::max(a, b);
    }
    return notConstant();
  }
  default:
    return notConstant();
  }
}
