//===- LaneEvaluator.cpp - expressions of a format as code for the rows of a block ------------------------------===//

#include "LaneEvaluator.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "quantc/Format/Arithmetic.h"
#include <cmath>

using namespace mlir;
using namespace quantc;

static bool fits32(const Interval &r) {
  return r.low >= INT32_MIN && r.high <= INT32_MAX;
}

/// The interval of an operation on intervals: exact at the corners where the operation is monotone, else by the bits in
/// use.
static Interval rangeOf(Operator op, const Interval &x, const Interval &y) {
  if (!x.known() || !y.known())
    return {};
  switch (op) {
  case Operator::Add:
  case Operator::Sub:
  case Operator::Mul:
  case Operator::Shl: {
    if (op == Operator::Shl && (y.low < 0 || y.high > 62))
      return {};
    __int128 low = INT64_MAX, high = INT64_MIN;
    for (__int128 a : {x.low, x.high})
      for (__int128 c : {y.low, y.high}) {
        __int128 r = op == Operator::Add   ? a + c
                     : op == Operator::Sub ? a - c
                     : op == Operator::Mul ? a * c
                                           : a * (__int128(1) << int(c));
        low = std::min(low, r);
        high = std::max(high, r);
      }
    if (low <= INT64_MIN || high >= INT64_MAX)
      return {};
    return {static_cast<int64_t>(low), static_cast<int64_t>(high)};
  }
  case Operator::Shr:
  case Operator::Div:
    return {std::min<int64_t>(x.low, 0), std::max<int64_t>(x.high, 0)};
  case Operator::And:
    if (x.low >= 0 || y.low >= 0)
      return {0, x.low < 0 ? y.high : y.low < 0 ? x.high : std::min(x.high, y.high)};
    return {};
  case Operator::Rem:
    return y.low > 0 ? Interval{0, y.high - 1} : Interval{};
  case Operator::Or:
  case Operator::Xor:
    if (x.low >= 0 && y.low >= 0)
      return {0, static_cast<int64_t>(llvm::NextPowerOf2(std::max(x.high, y.high)) - 1)};
    return {};
  default:
    return {0, 1}; // comparisons
  }
}

void LaneEvaluator::moveTo(CellReader &newBlock, unsigned newColumn) {
  block = &newBlock;
  column = newColumn;
  values.clear();
}

LaneEvaluator::Lanes LaneEvaluator::fail(const Twine &reason) {
  if (why.empty())
    why = reason.str();
  return failure();
}

LaneValue LaneEvaluator::integers(Value vector, Interval range) {
  // Kept in 32 bits wherever they fit.
  if (fits32(range) && vector.getType() != b.i32s)
    vector = arith::TruncIOp::create(b, b.i32s, vector);
  return {vector, false, 0, 0, range};
}

/// The integers of all lanes with 32 or 64 bits.
Value LaneEvaluator::wide(const LaneValue &value, bool bits64) {
  VectorType type = bits64 ? b.vectorOf(b.getI64Type()) : b.i32s;
  if (value.known())
    return b.splat(type, bits64 ? value.integer : static_cast<int32_t>(value.integer));
  if (value.vector.getType() == type)
    return value.vector;
  return bits64 ? arith::ExtSIOp::create(b, type, value.vector).getResult()
                : arith::TruncIOp::create(b, type, value.vector).getResult();
}

Value LaneEvaluator::asIntegers(const LaneValue &value) {
  return wide(value, /*bits64=*/false);
}

Value LaneEvaluator::asFloats(const LaneValue &value) {
  if (value.known())
    return b.splat(value.isFloat ? value.number : static_cast<float>(value.integer));
  return value.isFloat ? value.vector : b.toF32(value.vector);
}

Value LaneEvaluator::timesPowerOfTwo(const LaneValue &value, unsigned exponent) {
  Value number = asFloats(value);
  return exponent ? b.mul(number, b.splat(std::ldexp(1.0f, static_cast<int>(exponent)))) : number;
}

LaneValue LaneEvaluator::compare(Value flags) {
  return {arith::ExtUIOp::create(b, b.i32s, flags), false, 0, 0, {0, 1}};
}

//===- Nodes ---------------------------------------------------------------------------------------------------===//

LaneEvaluator::Lanes LaneEvaluator::evaluate(const Expr &expr) {
  // Sums bind variables: what is inside them differs from pass to pass.
  if (variables.empty())
    if (auto it = values.find(&expr); it != values.end())
      return it->second;
  Lanes value = evaluateNew(expr);
  if (variables.empty() && succeeded(value))
    values[&expr] = *value;
  return value;
}

LaneEvaluator::Lanes LaneEvaluator::evaluateNew(const Expr &expr) {
  switch (expr.kind) {
  case ExprKind::Integer:
    return known(expr.integer);
  case ExprKind::Float:
    return known(expr.number);
  case ExprKind::Name:
    return evaluateName(expr);
  case ExprKind::Call:
    return evaluateCall(expr);
  case ExprKind::Unary: {
    Lanes x = evaluate(*expr.args[0]);
    return failed(x) ? x : evaluateUnary(expr.op, *x);
  }
  case ExprKind::Binary: {
    Lanes x = evaluate(*expr.args[0]);
    Lanes y = failed(x) ? x : evaluate(*expr.args[1]);
    return failed(y) ? y : evaluateBinary(expr.op, *x, *y);
  }
  case ExprKind::Select: {
    Lanes condition = evaluate(*expr.args[0]);
    Lanes x = failed(condition) ? condition : evaluate(*expr.args[1]);
    Lanes y = failed(x) ? x : evaluate(*expr.args[2]);
    return failed(y) ? y : select(*condition, *x, *y);
  }
  case ExprKind::Sum: {
    Lanes total = known(int64_t(0));
    for (int64_t j = 0; j < expr.args[0]->integer; j++) {
      variables.emplace_back(expr.name, j);
      Lanes term = evaluate(*expr.args[1]);
      variables.pop_back();
      if (failed(term))
        return term;
      total = j == 0 ? term : evaluateBinary(Operator::Add, *total, *term);
    }
    return total;
  }
  }
  llvm_unreachable("all kinds of expressions are covered");
}

LaneEvaluator::Lanes LaneEvaluator::evaluateName(const Expr &expr) {
  for (const auto &[name, value] : llvm::reverse(variables))
    if (name == expr.name)
      return known(value);
  if (const Table *table = format.table(expr.name))
    return evaluateTable(*table, expr);
  if (const Field *field = format.field(expr.name)) {
    if (const StorageItem *item = storage.find(field->name))
      return evaluateField(*field, *item, expr);
    return fail("field '" + field->name + "' is not in kernel storage");
  }
  const auto &shape = format.block();
  if (expr.name == "i" && shape && shape->rows == 1) {
    if (Value columns = block->columns(column))
      return evaluateBinary(Operator::Rem, integers(columns, {0, INT32_MAX}), known(shape->columns));
    return known(static_cast<int64_t>(column % shape->columns));
  }
  return fail("'" + expr.name + "' is not known within a block of kernel storage");
}

LaneEvaluator::Lanes LaneEvaluator::evaluateField(const Field &field, const StorageItem &item, const Expr &expr) {
  LaneValue element = known(int64_t(0));
  for (size_t d = 0; d < field.array.size(); d++) {
    Lanes index = evaluate(*expr.args[d]);
    if (failed(index))
      return index;
    Lanes scaled = evaluateBinary(Operator::Mul, element, known(field.array[d]));
    Lanes sum = failed(scaled) ? scaled : evaluateBinary(Operator::Add, *scaled, *index);
    if (failed(sum))
      return sum;
    element = *sum;
  }
  const auto first = static_cast<unsigned>(column / item.run * field.arraySize());
  Value bits = element.known() ? block->lanes(item, first + static_cast<unsigned>(element.integer))
                               : block->elements(item, first, asIntegers(element));
  if (!bits)
    return fail("an element of '" + field.name + "' is chosen by a number that differs from weight to weight");
  const unsigned width = field.width;
  if (field.kind == FieldKind::Unsigned) {
    if (width == 32) {
      Value zeros = arith::ExtUIOp::create(b, b.vectorOf(b.getI64Type()), bits);
      return LaneValue{zeros, false, 0, 0, {0, UINT32_MAX}};
    }
    return integers(bits, {0, (int64_t(1) << width) - 1});
  }
  if (field.kind == FieldKind::Signed)
    return integers(b.sar(b.shl(bits, 32 - width), 32 - width),
                    {-(int64_t(1) << (width - 1)), (int64_t(1) << (width - 1)) - 1});
  return floats(fieldFloat(field.kind, bits));
}

Value LaneEvaluator::fieldFloat(FieldKind kind, Value bits) {
  auto half = [&](Type type, Value raw) -> Value {
    Value narrow = arith::TruncIOp::create(b, b.vectorOf(b.getI16Type()), raw);
    return arith::ExtFOp::create(b, b.f32s, b.bitcast(b.vectorOf(type), narrow));
  };
  // Small floats: the exponent is moved to that of f32; below the normal range the mantissa is a fixed-point number.
  auto small = [&](int exponentBits, int mantissaBits, int bias, bool hasNaN) -> Value {
    const int width = exponentBits + mantissaBits;
    Value magnitude = b.bitAnd(bits, b.splat(b.i32s, (1 << width) - 1));
    Value moved = b.add(b.shl(magnitude, 23 - mantissaBits), b.splat(b.i32s, (127 - bias) << 23));
    Value fixed = b.mul(b.toF32(magnitude), b.splat(std::ldexp(1.0f, 1 - bias - mantissaBits)));
    Value isFixed = arith::CmpIOp::create(b, arith::CmpIPredicate::ult, magnitude, b.splat(b.i32s, 1 << mantissaBits));
    Value value = arith::SelectOp::create(b, isFixed, b.bitcast(b.i32s, fixed), moved);
    if (hasNaN) {
      Value isNaN = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, magnitude, b.splat(b.i32s, (1 << width) - 1));
      value = arith::SelectOp::create(b, isNaN, b.splat(b.i32s, 0x7fc00000), value);
    }
    Value sign = b.shl(b.bitAnd(bits, b.splat(b.i32s, 1 << width)), 31 - width);
    return b.bitcast(b.f32s, b.bitOr(value, sign));
  };
  switch (kind) {
  case FieldKind::F16:
    return half(b.getF16Type(), bits);
  case FieldKind::BF16:
    return b.bitcast(b.f32s, b.shl(bits, 16));
  case FieldKind::E5M2: // the upper half of an f16
    return half(b.getF16Type(), b.shl(bits, 8));
  case FieldKind::E4M3:
    return small(4, 3, 7, true);
  case FieldKind::E2M3:
    return small(2, 3, 1, false);
  case FieldKind::E3M2:
    return small(3, 2, 3, false);
  case FieldKind::E2M1:
    return small(2, 1, 1, false);
  case FieldKind::E8M0: {
    Value normal = b.shl(bits, 23);
    Value isZero = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, bits, b.splat(b.i32s, 0));
    Value isNaN = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, bits, b.splat(b.i32s, 255));
    Value value = arith::SelectOp::create(b, isZero, b.splat(b.i32s, 0x00400000), normal);
    return b.bitcast(b.f32s, arith::SelectOp::create(b, isNaN, b.splat(b.i32s, 0x7fc00000), value));
  }
  default:
    return b.bitcast(b.f32s, bits);
  }
}

LaneEvaluator::Lanes LaneEvaluator::evaluateTable(const Table &table, const Expr &expr) {
  LaneValue index = known(int64_t(0));
  for (size_t d = 0; d < table.shape.size(); d++) {
    Lanes next = evaluate(*expr.args[d]);
    Lanes scaled = failed(next) ? next : evaluateBinary(Operator::Mul, index, known(table.shape[d]));
    Lanes sum = failed(scaled) ? scaled : evaluateBinary(Operator::Add, *scaled, *next);
    if (failed(sum))
      return sum;
    index = *sum;
  }
  if (index.known())
    return table.isFloat ? known(table.floats[index.integer]) : known(table.integers[index.integer]);
  if (table.isFloat)
    return floats(b.bitcast(b.f32s, lookup.lanes(b, table, asIntegers(index))));
  auto [low, high] = std::minmax_element(table.integers.begin(), table.integers.end());
  if (!fits32({*low, *high}))
    return fail("table '" + table.name + "' has integers beyond 32 bits");
  return integers(lookup.lanes(b, table, asIntegers(index)), {*low, *high});
}

//===- Operations ----------------------------------------------------------------------------------------------===//

LaneEvaluator::Lanes LaneEvaluator::evaluateBinary(Operator op, LaneValue x, LaneValue y) {
  using IntPredicate = arith::CmpIPredicate;
  using FloatPredicate = arith::CmpFPredicate;
  if (x.isFloat || y.isFloat) {
    Value u = asFloats(x), v = asFloats(y);
    auto flags = [&](FloatPredicate predicate) { return compare(arith::CmpFOp::create(b, predicate, u, v)); };
    switch (op) {
    case Operator::Add:
      return floats(b.add(u, v));
    case Operator::Sub:
      return floats(b.sub(u, v));
    case Operator::Mul:
      return floats(b.mul(u, v));
    case Operator::Div:
      return floats(arith::DivFOp::create(b, u, v));
    case Operator::Eq:
      return flags(FloatPredicate::OEQ);
    case Operator::Ne:
      return flags(FloatPredicate::UNE);
    case Operator::Lt:
      return flags(FloatPredicate::OLT);
    case Operator::Le:
      return flags(FloatPredicate::OLE);
    case Operator::Gt:
      return flags(FloatPredicate::OGT);
    case Operator::Ge:
      return flags(FloatPredicate::OGE);
    default:
      return fail("this operation takes no floats");
    }
  }
  if (x.known() && y.known())
    return known(applyInteger(op, x.integer, y.integer));
  const Interval range = rangeOf(op, x.range, y.range);
  const bool isShift = op == Operator::Shl || op == Operator::Shr;
  const bool isLongShift = isShift && (y.range.low < 0 || y.range.high > 31);
  const bool is64 = isLongShift || !fits32(range) || !fits32(x.range) || !fits32(y.range);
  Value u = wide(x, is64), v = wide(y, is64);
  auto flags = [&](IntPredicate predicate) { return compare(arith::CmpIOp::create(b, predicate, u, v)); };
  auto floorDivide = [&]() -> Value {
    if (y.known() && y.integer > 0 && llvm::isPowerOf2_64(y.integer))
      return b.sar(u, llvm::Log2_64(y.integer));
    return arith::FloorDivSIOp::create(b, u, v);
  };
  switch (op) {
  case Operator::Add:
    return integers(b.add(u, v), range);
  case Operator::Sub:
    return integers(b.sub(u, v), range);
  case Operator::Mul:
    return integers(b.mul(u, v), range);
  case Operator::And:
    return integers(b.bitAnd(u, v), range);
  case Operator::Or:
    return integers(b.bitOr(u, v), range);
  case Operator::Xor:
    return integers(b.bitXor(u, v), range);
  case Operator::Shl: {
    Value moved = arith::ShLIOp::create(b, u, v);
    if (isLongShift) { // by less than 0 or more than 63 leaves nothing
      Value none = b.splat(cast<VectorType>(u.getType()), 0), most = b.splat(cast<VectorType>(u.getType()), 63);
      Value inside = arith::CmpIOp::create(b, IntPredicate::ule, v, most);
      moved = arith::SelectOp::create(b, inside, moved, none);
    }
    return integers(moved, range);
  }
  case Operator::Shr:
    if (isLongShift) // only signs are left; a negative count is a large one
      v = arith::MinUIOp::create(b, v, b.splat(cast<VectorType>(u.getType()), 63));
    return integers(arith::ShRSIOp::create(b, u, v), range);
  case Operator::Div:
    return integers(floorDivide(), range);
  case Operator::Rem:
    if (y.known() && y.integer > 0 && llvm::isPowerOf2_64(y.integer))
      return integers(b.bitAnd(u, wide(known(y.integer - 1), is64)), range);
    return integers(b.sub(u, b.mul(floorDivide(), v)), range);
  case Operator::Eq:
    return flags(IntPredicate::eq);
  case Operator::Ne:
    return flags(IntPredicate::ne);
  case Operator::Lt:
    return flags(IntPredicate::slt);
  case Operator::Le:
    return flags(IntPredicate::sle);
  case Operator::Gt:
    return flags(IntPredicate::sgt);
  case Operator::Ge:
    return flags(IntPredicate::sge);
  default:
    return fail("this operation takes one operand");
  }
}

LaneEvaluator::Lanes LaneEvaluator::evaluateUnary(Operator op, LaneValue x) {
  if (x.isFloat)
    return x.known() ? Lanes(known(-x.number)) : Lanes(floats(arith::NegFOp::create(b, x.vector)));
  if (op == Operator::Neg)
    return evaluateBinary(Operator::Sub, known(int64_t(0)), x);
  if (op == Operator::Complement)
    return evaluateBinary(Operator::Sub, known(int64_t(-1)), x);
  return evaluateBinary(Operator::Eq, x, known(int64_t(0)));
}

LaneEvaluator::Lanes LaneEvaluator::select(const LaneValue &condition, LaneValue x, LaneValue y) {
  if (condition.known())
    return condition.integer ? x : y;
  const bool isFloat = x.isFloat || y.isFloat, is64 = !isFloat && !(fits32(x.range) && fits32(y.range));
  Value u = isFloat ? asFloats(x) : wide(x, is64), v = isFloat ? asFloats(y) : wide(y, is64);
  Value flags = arith::CmpIOp::create(b, arith::CmpIPredicate::ne, condition.vector,
                                      b.splat(cast<VectorType>(condition.vector.getType()), 0));
  Value chosen = arith::SelectOp::create(b, flags, u, v);
  if (isFloat)
    return floats(chosen);
  return integers(chosen, {std::min(x.range.low, y.range.low), std::max(x.range.high, y.range.high)});
}

LaneEvaluator::Lanes LaneEvaluator::evaluateCall(const Expr &expr) {
  SmallVector<LaneValue> args;
  for (const ExprPtr &arg : expr.args) {
    Lanes value = evaluate(*arg);
    if (failed(value))
      return value;
    args.push_back(*value);
  }
  StringRef name = expr.name;
  auto throughHalf = [&](Type type) {
    Value narrow = arith::TruncFOp::create(b, b.vectorOf(type), asFloats(args[0]));
    return floats(arith::ExtFOp::create(b, b.f32s, narrow));
  };
  if (name == "bits_f32")
    return floats(b.bitcast(b.f32s, asIntegers(args[0])));
  if (name == "bits_f16")
    return floats(fieldFloat(FieldKind::F16, asIntegers(args[0])));
  if (name == "round_f16")
    return throughHalf(b.getF16Type());
  if (name == "round_bf16")
    return throughHalf(b.getBF16Type());
  if (name == "abs" && args[0].isFloat)
    return floats(math::AbsFOp::create(b, asFloats(args[0])));
  if (name == "parity") {
    if (args[0].known())
      return known(static_cast<int64_t>(llvm::popcount(static_cast<uint32_t>(args[0].integer)) & 1));
    Value count = math::CtPopOp::create(b, asIntegers(args[0]));
    return integers(b.bitAnd(count, b.splat(b.i32s, 1)), {0, 1});
  }
  if (name == "ceildiv") {
    Lanes negative = evaluateUnary(Operator::Neg, args[0]);
    Lanes quotient = failed(negative) ? negative : evaluateBinary(Operator::Div, *negative, args[1]);
    return failed(quotient) ? quotient : evaluateUnary(Operator::Neg, *quotient);
  }
  // The rest compares and selects, as the reference does.
  LaneValue x = args[0], y = x;
  Operator op = Operator::Lt;
  if (name == "abs") {
    Lanes negative = evaluateUnary(Operator::Neg, x);
    if (failed(negative))
      return negative;
    x = *negative;
    op = Operator::Gt;
  } else if (name == "min" || name == "max") {
    x = args[1];
    op = name == "min" ? Operator::Lt : Operator::Gt;
  } else {
    return fail("function '" + name + "' has no code");
  }
  Lanes flags = evaluateBinary(op, x, y);
  return failed(flags) ? flags : select(*flags, x, y);
}
