//===- Format.cpp - what a bound format knows of itself ---------------------------------------------------------===//

#include "quantc/Format/Format.h"
#include "Resolve.h"
#include <algorithm>

using namespace quantc;

std::optional<std::pair<FieldKind, unsigned>> quantc::floatKind(std::string_view type) {
  static const std::tuple<std::string_view, FieldKind, unsigned> kinds[] = {
      {"f32", FieldKind::F32, 32},  {"f16", FieldKind::F16, 16},  {"bf16", FieldKind::BF16, 16},
      {"e4m3", FieldKind::E4M3, 8}, {"e5m2", FieldKind::E5M2, 8}, {"e8m0", FieldKind::E8M0, 8},
      {"e2m1", FieldKind::E2M1, 4}, {"e2m3", FieldKind::E2M3, 6}, {"e3m2", FieldKind::E3M2, 6}};
  for (auto &[word, kind, width] : kinds)
    if (word == type)
      return std::pair(kind, width);
  return std::nullopt;
}

int64_t Field::arraySize() const {
  int64_t size = 1;
  for (int64_t extent : array)
    size *= extent;
  return size;
}

const Field *Format::field(std::string_view name) const {
  auto it = std::ranges::find(boundFields, name, &Field::name);
  return it == boundFields.end() ? nullptr : &*it;
}

const EncodeClause *Format::encode(std::string_view statistic) const {
  auto it = std::ranges::find(description->encodes, statistic, &EncodeClause::statistic);
  return it == description->encodes.end() ? nullptr : &*it;
}

std::map<std::string, int64_t> Format::integersFor(int64_t N, int64_t K) const {
  std::map<std::string, int64_t> all = params;
  for (auto &[name, word] : words)
    if (word == "N" || word == "K")
      all[name] = word == "N" ? N : K;
  all["N"] = N;
  all["K"] = K;
  return all;
}

std::string Format::typeWord(const std::string &word) const {
  auto it = words.find(word);
  return it == words.end() ? word : it->second;
}

std::optional<int64_t> Format::constant(std::string_view field) const {
  auto it = constants.find(field);
  return it == constants.end() ? std::nullopt : std::optional(it->second);
}

static int64_t ceilDiv(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

int64_t Format::cellCount(const Field &field, int64_t N, int64_t K) const {
  const int64_t rows = field.inside ? blockShape->rows : N, columns = field.inside ? blockShape->columns : K;
  if (field.flat)
    return ceilDiv(rows * columns, field.columns) * field.arraySize();
  return (field.rows ? ceilDiv(rows, field.rows) : 1) * (field.columns ? ceilDiv(columns, field.columns) : 1) *
         field.arraySize();
}

Status Format::checkShape(int64_t N, int64_t K) const {
  if (N < 1 || K < 1 || N > (int64_t(1) << 31) || K > (int64_t(1) << 31) || N * K > (int64_t(1) << 36))
    return fail("{} cannot hold a weight of {} x {}: extents are 1..2^31, their product is at most 2^36", canonicalSpec,
                N, K);
  if (blockShape && (N % blockShape->rows || K % blockShape->columns))
    return fail("{} cannot hold a weight of {} x {}: its blocks are {} x {}", canonicalSpec, N, K, blockShape->rows,
                blockShape->columns);
  const auto environment = integersFor(N, K);
  for (const Requirement &r : description->requirements) {
    QUANTC_ASSIGN(int64_t holds, constantOf(*this, r.condition, environment));
    if (!holds)
      return error(r.position, r.message);
  }
  return {};
}

double Format::bitsPerWeight(int64_t N, int64_t K) const {
  double bits = blockShape ? double(blockShape->bytes) * 8 / double(blockShape->rows * blockShape->columns) : 0;
  for (const Field &f : boundFields)
    if (!f.inside)
      bits += double(f.width) * double(cellCount(f, N, K)) / (double(N) * double(K));
  return bits;
}

Result<ExprPtr> Format::resolve(const ExprPtr &e) const {
  return Resolver(*this).resolve(e);
}

bool Format::readsField(const Expr &e) const {
  if (e.kind == ExprKind::Name && field(e.name))
    return true;
  return std::ranges::any_of(e.args, [&](const ExprPtr &a) { return readsField(*a); });
}

//===--- Types and ranges ---------------------------------------------------------------------------------------===//

static bool isComparison(Operator op) {
  return op >= Operator::Eq;
}

ValueType Format::typeOf(const Expr &e) const {
  auto anyFloat = [&](size_t from) {
    for (size_t i = from; i < e.args.size(); i++)
      if (typeOf(*e.args[i]) == ValueType::Float)
        return ValueType::Float;
    return ValueType::Integer;
  };
  switch (e.kind) {
  case ExprKind::Integer:
    return ValueType::Integer;
  case ExprKind::Float:
    return ValueType::Float;
  case ExprKind::Name:
    if (const Table *t = table(e.name))
      return t->isFloat ? ValueType::Float : ValueType::Integer;
    if (const Field *f = field(e.name))
      return isInteger(f->kind) ? ValueType::Integer : ValueType::Float;
    return ValueType::Integer;
  case ExprKind::Sum:
    return typeOf(*e.args[1]);
  case ExprKind::Select:
    return anyFloat(1);
  case ExprKind::Call:
    if (e.name == "parity" || e.name == "ceildiv")
      return ValueType::Integer;
    return e.name == "abs" || e.name == "min" || e.name == "max" ? anyFloat(0) : ValueType::Float;
  case ExprKind::Unary:
    return e.op == Operator::Not ? ValueType::Integer : anyFloat(0);
  case ExprKind::Binary:
    return isComparison(e.op) ? ValueType::Integer : anyFloat(0);
  }
  return ValueType::Integer;
}

using Wide = __int128;
static constexpr int64_t unknownLow = INT64_MIN, unknownHigh = INT64_MAX;

/// Unknown where an end does not fit: then values may wrap.
static Interval intervalOf(Wide low, Wide high) {
  if (low <= unknownLow || high >= unknownHigh)
    return {};
  return {static_cast<int64_t>(low), static_cast<int64_t>(high)};
}

static int64_t allOnes(int64_t v) { // the least 2^n - 1 that is not below v
  int64_t ones = 0;
  while (ones < v)
    ones = ones << 1 | 1;
  return ones;
}

static int64_t floorDiv(int64_t a, int64_t b) {
  return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static Interval rangeOfBinary(Operator op, Interval a, Interval b) {
  const Interval unknown;
  if (isComparison(op))
    return {0, 1};
  switch (op) {
  case Operator::Add:
    return a.known() && b.known() ? intervalOf(Wide(a.low) + b.low, Wide(a.high) + b.high) : unknown;
  case Operator::Sub:
    return a.known() && b.known() ? intervalOf(Wide(a.low) - b.high, Wide(a.high) - b.low) : unknown;
  case Operator::Mul: {
    if (!a.known() || !b.known())
      return unknown;
    const Wide p[] = {Wide(a.low) * b.low, Wide(a.low) * b.high, Wide(a.high) * b.low, Wide(a.high) * b.high};
    return intervalOf(*std::ranges::min_element(p), *std::ranges::max_element(p));
  }
  case Operator::And:
    if (a.low < 0 && b.low < 0)
      return unknown;
    return {0, std::min(a.low >= 0 ? a.high : unknownHigh, b.low >= 0 ? b.high : unknownHigh)};
  case Operator::Or:
  case Operator::Xor:
    return a.low >= 0 && b.low >= 0 && a.known() && b.known() ? Interval{0, allOnes(std::max(a.high, b.high))}
                                                              : unknown;
  case Operator::Rem:
    if (b.low != b.high || b.low <= 0) // the remainder of a division that floors has the sign of the divisor
      return unknown;
    return {0, a.low >= 0 ? std::min(b.low - 1, a.high) : b.low - 1};
  case Operator::Div:
    return a.low >= 0 && b.low > 0 && a.known() && b.known()
               ? Interval{floorDiv(a.low, b.high), floorDiv(a.high, b.low)}
               : unknown;
  case Operator::Shr:
    return a.low >= 0 && b.low >= 0 && b.high < 64
               ? Interval{a.low >> b.high, a.high == unknownHigh ? unknownHigh : a.high >> b.low}
               : unknown;
  case Operator::Shl:
    return a.low >= 0 && b.low >= 0 && b.high < 63 && a.known()
               ? intervalOf(Wide(a.low) << b.low, Wide(a.high) << b.high)
               : unknown;
  default:
    return unknown;
  }
}

Interval Format::rangeOf(const Expr &e) const {
  return Resolver(*this).rangeOf(e);
}

Interval Resolver::rangeOf(const Expr &e) const {
  const Interval unknown;
  switch (e.kind) {
  case ExprKind::Integer:
    return {e.integer, e.integer};
  case ExprKind::Float:
    return unknown;
  case ExprKind::Name:
    if (const Table *t = format.table(e.name))
      return t->isFloat ? unknown : Interval{t->lowest, t->highest};
    if (const Field *f = format.field(e.name)) {
      if (f->kind == FieldKind::Unsigned)
        return f->width < 63    ? Interval{0, (int64_t(1) << f->width) - 1}
               : f->width == 63 ? Interval{0, unknownHigh}
                                : unknown;
      return f->kind == FieldKind::Signed && f->width < 64
                 ? Interval{-(int64_t(1) << (f->width - 1)), (int64_t(1) << (f->width - 1)) - 1}
                 : unknown;
    }
    if (auto it = bounds.find(e.name); it != bounds.end())
      return {0, it->second - 1};
    if (e.name == "i" && format.block())
      return {0, format.block()->rows * format.block()->columns - 1};
    return {0, (int64_t(1) << 31)};
  case ExprKind::Select: {
    Interval a = rangeOf(*e.args[1]), b = rangeOf(*e.args[2]);
    return {std::min(a.low, b.low), std::max(a.high, b.high)};
  }
  case ExprKind::Sum: {
    Resolver inner = *this;
    const int64_t count = e.args[0]->integer;
    inner.bounds[e.name] = count;
    Interval a = inner.rangeOf(*e.args[1]);
    if (!a.known())
      return unknown;
    return intervalOf(std::min<Wide>(0, Wide(a.low) * count), std::max<Wide>(0, Wide(a.high) * count));
  }
  case ExprKind::Call: {
    if (e.name == "parity")
      return {0, 1};
    if (format.typeOf(e) == ValueType::Float)
      return unknown;
    Interval a = rangeOf(*e.args[0]);
    if (e.name == "abs" && a.known())
      return {a.low > 0 ? a.low : a.high < 0 ? -a.high : 0, std::max(-a.low, a.high)};
    if (e.args.size() < 2)
      return unknown;
    Interval b = rangeOf(*e.args[1]);
    if (e.name == "min")
      return {std::min(a.low, b.low), std::min(a.high, b.high)};
    if (e.name == "max")
      return {std::max(a.low, b.low), std::max(a.high, b.high)};
    if (e.name == "ceildiv" && a.known() && b.known() && b.low > 0 && a.low >= 0)
      return {a.low / b.high, a.high / b.low + (a.high % b.low != 0)};
    return unknown;
  }
  case ExprKind::Unary: {
    Interval a = rangeOf(*e.args[0]);
    if (e.op == Operator::Not)
      return {0, 1};
    return e.op == Operator::Neg && a.known() ? Interval{-a.high, -a.low} : unknown;
  }
  case ExprKind::Binary:
    if (format.typeOf(e) == ValueType::Float)
      return unknown;
    return rangeOfBinary(e.op, rangeOf(*e.args[0]), rangeOf(*e.args[1]));
  }
  return unknown;
}
