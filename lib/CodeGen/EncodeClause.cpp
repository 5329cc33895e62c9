//===- EncodeClause.cpp - the encode clause of a format as code -------------------------------------------------===//
//
// A clause is a straight-line program whose values belong to columns, or to runs of columns.
//
//===----------------------------------------------------------------------------------------------------------===//

#include "EncodeClause.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/StringMap.h"
#include <cmath>

using namespace mlir;
using namespace quantc;

namespace {

class EncodeClauseEmitter {
public:
  EncodeClauseEmitter(LaneBuilder &b, const Format &format, int64_t columns) : b(b), format(format), columns(columns) {}

  Status emit(Value x, CellStore &store) {
    const EncodeClause *clause = format.encode("");
    if (!clause || (format.block() && format.block()->rows != 1) || columns % b.lanes)
      return fail(
          "'{}' cannot be encoded at run time: it needs an encode clause and blocks of one row of whole vectors",
          format.spec());
    loadColumns(x);
    for (const EncodeStep &step : clause->steps) {
      QUANTC_ASSIGN(Cells value, evaluate(*step.value, runOf(step)));
      const std::string &name = step.results.front().second;
      if (const Field *field = format.field(name)) {
        if (field->columns < 1 || columns % field->columns)
          return fail("'{}' cannot be encoded at run time: '{}' holds for more than {} columns", format.spec(), name,
                      columns);
        value = spread(roundTo(*field, std::move(value)), field->columns);
        QUANTC_TRY(store.store(*field, value));
      }
      values[name] = value;
    }
    return {};
  }

private:
  void loadColumns(Value x) {
    const int64_t given = cast<VectorType>(x.getType()).getNumElements();
    if (given != columns) {
      VectorType whole = VectorType::get({columns}, b.getF32Type());
      Value zeros = arith::ConstantOp::create(b, DenseElementsAttr::get(whole, 0.0f));
      x = vector::InsertStridedSliceOp::create(b, x, zeros, ArrayRef<int64_t>{0}, ArrayRef<int64_t>{1});
    }
    Cells cells;
    for (int64_t c = 0; c < columns; c += b.lanes)
      cells.values.push_back(vector::ExtractStridedSliceOp::create(b, x, ArrayRef<int64_t>{c},
                                                                   ArrayRef<int64_t>{b.lanes}, ArrayRef<int64_t>{1}));
    values["x"] = cells;
  }

  /// Columns of a cell of what a step sets: a field's, or those of the scope.
  int64_t runOf(const EncodeStep &step) const {
    if (const Field *field = format.field(step.results.front().second))
      return field->columns;
    if (!step.scope)
      return 0; // that of the operands
    switch (step.scope->kind) {
    case ScopeDecl::Weight:
      return 1;
    case ScopeDecl::Block:
      return format.block() ? format.block()->columns : 0;
    default:
      if (step.scope->kind == ScopeDecl::Tile && step.scope->columns)
        if (auto run = format.resolve(step.scope->columns); run && (*run)->kind == ExprKind::Integer)
          return (*run)->integer;
      return 0;
    }
  }

  Value operand(const Cells &cells, int64_t run, size_t i) {
    if (cells.run == run)
      return cells.values[i];
    const int64_t column = run == 1 ? static_cast<int64_t>(i) * b.lanes : static_cast<int64_t>(i) * run;
    Value scalar = cells.values[column / cells.run];
    return run == 1 ? b.broadcast(b.vectorOf(scalar.getType()), scalar) : scalar;
  }
  size_t count(int64_t run) const { return columns / (run == 1 ? b.lanes : run); }

  Cells spread(Cells cells, int64_t run) {
    Cells result{run, {}};
    for (size_t i = 0; i < count(run); i++)
      result.values.push_back(operand(cells, run, i));
    return result;
  }

  template <typename Body> Cells map(ArrayRef<Cells> args, Body body) {
    Cells result{columns, {}};
    for (const Cells &arg : args)
      result.run = std::min(result.run, arg.run);
    for (size_t i = 0; i < count(result.run); i++) {
      SmallVector<Value> operands;
      for (const Cells &arg : args)
        operands.push_back(asFloat(operand(arg, result.run, i)));
      result.values.push_back(body(operands));
    }
    return result;
  }

  Value asFloat(Value v) {
    Type type = v.getType();
    if (getElementTypeOrSelf(type).isF32())
      return v;
    return arith::SIToFPOp::create(b, isa<VectorType>(type) ? Type(b.f32s) : Type(b.getF32Type()), v);
  }
  Value constantLike(Value v, float number) {
    if (isa<VectorType>(v.getType()))
      return b.splat(number);
    return arith::ConstantOp::create(b, b.getF32FloatAttr(number));
  }
  Cells constant(float number) { return {columns, {arith::ConstantOp::create(b, b.getF32FloatAttr(number))}}; }

  Result<Cells> evaluate(const Expr &expr, int64_t run) {
    switch (expr.kind) {
    case ExprKind::Integer:
      return constant(static_cast<float>(expr.integer));
    case ExprKind::Float:
      return constant(expr.number);
    case ExprKind::Name: {
      auto it = values.find(expr.name);
      if (it != values.end())
        return it->second;
      if (auto parameter = format.integers().find(expr.name); parameter != format.integers().end())
        return constant(static_cast<float>(parameter->second));
      break;
    }
    case ExprKind::Unary:
      if (expr.op == Operator::Neg) {
        QUANTC_ASSIGN(Cells x, evaluate(*expr.args[0], run));
        return map(x, [&](ArrayRef<Value> v) -> Value { return arith::NegFOp::create(b, v[0]); });
      }
      break;
    case ExprKind::Binary: {
      QUANTC_ASSIGN(Cells x, evaluate(*expr.args[0], run));
      QUANTC_ASSIGN(Cells y, evaluate(*expr.args[1], run));
      switch (expr.op) {
      case Operator::Add:
        return map({x, y}, [&](ArrayRef<Value> v) { return b.add(v[0], v[1]); });
      case Operator::Sub:
        return map({x, y}, [&](ArrayRef<Value> v) { return b.sub(v[0], v[1]); });
      case Operator::Mul:
        return map({x, y}, [&](ArrayRef<Value> v) { return b.mul(v[0], v[1]); });
      case Operator::Div:
        return map({x, y}, [&](ArrayRef<Value> v) -> Value { return arith::DivFOp::create(b, v[0], v[1]); });
      default:
        break;
      }
      break;
    }
    case ExprKind::Call:
      return call(expr, run);
    default:
      break;
    }
    return format.error(expr.position, "this cannot be evaluated at run time");
  }

  Result<Cells> call(const Expr &expr, int64_t run) {
    if (expr.args.empty() || !expr.named.empty())
      return format.error(expr.position, "searches cannot be run at run time");
    std::vector<Cells> args;
    for (const ExprPtr &arg : expr.args) {
      QUANTC_ASSIGN(Cells value, evaluate(*arg, run));
      args.push_back(std::move(value));
    }
    StringRef name = expr.name;
    if (name == "abs")
      return map(args, [&](ArrayRef<Value> v) -> Value { return math::AbsFOp::create(b, v[0]); });
    if (name == "sqrt")
      return map(args, [&](ArrayRef<Value> v) -> Value { return math::SqrtOp::create(b, v[0]); });
    if (name == "floor")
      return map(args, [&](ArrayRef<Value> v) -> Value { return math::FloorOp::create(b, v[0]); });
    if (name == "round")
      return map(args, [&](ArrayRef<Value> v) -> Value { return math::RoundEvenOp::create(b, v[0]); });
    if (name == "div0" && args.size() == 2)
      return map(args, [&](ArrayRef<Value> v) -> Value {
        Value zero = constantLike(v[1], 0);
        Value isZero = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, v[1], zero);
        return arith::SelectOp::create(b, isZero, zero, arith::DivFOp::create(b, v[0], v[1]));
      });
    if (name == "clamp" && args.size() == 3)
      return map(args, [&](ArrayRef<Value> v) -> Value {
        return arith::MinimumFOp::create(b, arith::MaximumFOp::create(b, v[0], v[1]), v[2]);
      });
    if (name == "round_away")
      return map(args, [&](ArrayRef<Value> v) { return roundAway(v[0]); });
    if (name == "signed_absmax")
      return signedAbsmax(args[0], run, expr.position);
    if (name == "absmax" || name == "max" || name == "min" || name == "sum")
      return aggregate(name, args[0], run, expr.position);
    return format.error(expr.position, "this function cannot be run at run time");
  }

  /// Reduces columns to one number for each run. Sums of integers are exact in any order, those of floats are in order.
  Result<Cells> aggregate(StringRef name, const Cells &arg, int64_t run, Position position) {
    const bool isInteger = getElementTypeOrSelf(arg.values.front().getType()).isInteger(32);
    if (arg.run != 1 || run < b.lanes || run % b.lanes || (name != "sum" && isInteger))
      return format.error(position, "sums and extrema of inputs over whole vectors only can be computed at run time");
    Cells result{run, {}};
    const size_t vectors = run / b.lanes;
    for (size_t first = 0; first < arg.values.size(); first += vectors) {
      Value all;
      if (name == "sum" && !isInteger) {
        for (size_t i = first; i < first + vectors; i++)
          all = vector::ReductionOp::create(b, vector::CombiningKind::ADD, arg.values[i], all);
        result.values.push_back(all);
        continue;
      }
      for (size_t i = first; i < first + vectors; i++) {
        Value v = name == "absmax" ? math::AbsFOp::create(b, arg.values[i]).getResult() : arg.values[i];
        if (!all)
          all = v;
        else if (name == "sum")
          all = b.add(all, v);
        else
          all = name == "min" ? arith::MinimumFOp::create(b, all, v).getResult()
                              : arith::MaximumFOp::create(b, all, v).getResult();
      }
      vector::CombiningKind kind = name == "sum"   ? vector::CombiningKind::ADD
                                   : name == "min" ? vector::CombiningKind::MINIMUMF
                                                   : vector::CombiningKind::MAXIMUMF;
      result.values.push_back(vector::ReductionOp::create(b, kind, all));
    }
    return result;
  }

  /// Halves away from zero. (math.round would call libm.)
  Value roundAway(Value v) {
    Value magnitude = math::AbsFOp::create(b, v), whole = math::FloorOp::create(b, magnitude);
    Value isUp = arith::CmpFOp::create(b, arith::CmpFPredicate::OGE, b.sub(magnitude, whole), constantLike(v, 0.5f));
    Value rounded = arith::SelectOp::create(b, isUp, b.add(whole, constantLike(v, 1)), whole);
    return math::CopySignOp::create(b, rounded, v);
  }

  /// The number of the largest magnitude, the first of equals. Its place and sign are found as one integer.
  Result<Cells> signedAbsmax(const Cells &arg, int64_t run, Position position) {
    QUANTC_ASSIGN(Cells largest, aggregate("absmax", arg, run, position));
    for (auto [i, magnitude] : llvm::enumerate(largest.values)) {
      Value most = b.splat(b.i32s, INT32_MAX), least;
      for (int64_t c = 0; c < run; c += b.lanes) {
        Value x = arg.values[(static_cast<int64_t>(i) * run + c) / b.lanes];
        SmallVector<int32_t> numbers;
        for (int64_t lane = 0; lane < b.lanes; lane++)
          numbers.push_back(static_cast<int32_t>(2 * (c + lane)));
        Value place = arith::ConstantOp::create(b, DenseElementsAttr::get(b.i32s, ArrayRef(numbers)));
        place = b.bitOr(place, b.shr(b.bitcast(b.i32s, x), 31));
        Value isLargest = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, math::AbsFOp::create(b, x),
                                                b.broadcast(b.f32s, magnitude));
        place = arith::SelectOp::create(b, isLargest, place, most);
        least = least ? arith::MinSIOp::create(b, least, place).getResult() : place;
      }
      Value first = vector::ReductionOp::create(b, vector::CombiningKind::MINSI, least);
      Value one = arith::ConstantIntOp::create(b, b.getI32Type(), 1);
      Value isNegative = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, arith::AndIOp::create(b, first, one), one);
      magnitude = arith::SelectOp::create(b, isNegative, arith::NegFOp::create(b, magnitude), magnitude);
    }
    return largest;
  }

  Type halfLike(Value v, Type half) { return isa<VectorType>(v.getType()) ? Type(b.vectorOf(half)) : half; }

  /// What a field holds of a value: floats rounded to its type, integers truncated and clamped.
  Cells roundTo(const Field &field, Cells cells) {
    if (field.kind == FieldKind::BF16 || field.kind == FieldKind::F16)
      return map(cells, [&](ArrayRef<Value> v) -> Value {
        Type half = field.kind == FieldKind::F16 ? Type(b.getF16Type()) : b.getBF16Type();
        Value narrow = arith::TruncFOp::create(b, halfLike(v[0], half), v[0]);
        return arith::ExtFOp::create(b, v[0].getType(), narrow);
      });
    if (field.kind != FieldKind::Signed && field.kind != FieldKind::Unsigned)
      return map(cells, [&](ArrayRef<Value> v) { return v[0]; });
    const bool isSigned = field.kind == FieldKind::Signed;
    const float low = isSigned ? -std::ldexp(1.0f, field.width - 1) : 0.0f;
    const float high = std::ldexp(1.0f, isSigned ? field.width - 1 : field.width) - 1;
    return map(cells, [&](ArrayRef<Value> v) -> Value {
      Value clamped = arith::MinimumFOp::create(b, arith::MaximumFOp::create(b, v[0], constantLike(v[0], low)),
                                                constantLike(v[0], high));
      return arith::FPToSIOp::create(b, isa<VectorType>(v[0].getType()) ? Type(b.i32s) : Type(b.getI32Type()), clamped);
    });
  }

  LaneBuilder &b;
  const Format &format;
  const int64_t columns;
  llvm::StringMap<Cells> values;
};

} // namespace

Status quantc::emitEncodeClause(LaneBuilder &b, const Format &format, int64_t columns, Value x, CellStore &store) {
  return EncodeClauseEmitter(b, format, columns).emit(x, store);
}
