//===- EmitEncode.cpp - quantization of activations -----------------------------------------------------------===//
//
// Evaluates the `encode` clause of a format for one block of a row: a straight-line program whose values belong to
// columns, or to runs of columns. Searches are not for run time.
//
//===----------------------------------------------------------------------------------------------------------===//

#include "LaneBuilder.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "quantc/CodeGen/Passes.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Format/Layout.h"
#include "llvm/ADT/StringMap.h"
#include <cmath>

namespace quantc {
#define GEN_PASS_DEF_QFEMITENCODE
#include "quantc/CodeGen/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

/// A value of each run of `run` columns of a block. run = 1: vectors of 16 columns; else a scalar for each run, of
/// which 16 columns or more share it. Integers are i32, all else is f32.
struct Cells {
  int64_t run = 1;
  SmallVector<Value> values;
};

class EncodeClauseEmitter {
public:
  EncodeClauseEmitter(LaneBuilder &b, const Format &format) : b(b), format(format), columns(format.block()->columns) {}

  /// Quantizes `x`, columns of a block of which those beyond are zero, and stores the block. Fails with the reason.
  Status emit(Value x, Value address) {
    const EncodeClause *clause = format.encode("");
    if (!clause || format.block()->rows != 1 || columns % b.lanes)
      return fail(
          "'{}' cannot be encoded at run time: it needs an encode clause and blocks of one row of whole vectors",
          format.spec());
    QUANTC_ASSIGN(BlockLayout layout, BlockLayout::create(format));
    loadColumns(x);
    for (const EncodeStep &step : clause->steps) {
      QUANTC_ASSIGN(Cells value, evaluate(*step.value, runOf(step)));
      const std::string &name = step.results.front().second;
      if (const Field *field = format.field(name)) {
        value = spread(roundTo(*field, std::move(value)), field->columns);
        QUANTC_TRY(store(*field, value, layout, address));
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
      return columns;
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
    if (name == "absmax" || name == "max" || name == "min" || name == "sum")
      return aggregate(name, args[0], run, expr.position);
    return format.error(expr.position, "this function cannot be run at run time");
  }

  /// Reduces columns to one number for each run. Sums are of integers, which are exact in any order.
  Result<Cells> aggregate(StringRef name, const Cells &arg, int64_t run, Position position) {
    const bool isInteger = getElementTypeOrSelf(arg.values.front().getType()).isInteger(32);
    if (arg.run != 1 || run < b.lanes || run % b.lanes || (name == "sum" && !isInteger) || (name != "sum" && isInteger))
      return format.error(position,
                          "sums of codes and extrema of inputs over whole vectors only can be computed at run time");
    Cells result{run, {}};
    const size_t vectors = run / b.lanes;
    for (size_t first = 0; first < arg.values.size(); first += vectors) {
      Value all;
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

  Type halfLike(Value v) { return isa<VectorType>(v.getType()) ? Type(b.vectorOf(b.getBF16Type())) : b.getBF16Type(); }

  /// What a field holds of a value: floats as they are (f32) or rounded to bf16, integers truncated and clamped.
  Cells roundTo(const Field &field, Cells cells) {
    if (field.kind == FieldKind::BF16)
      return map(cells, [&](ArrayRef<Value> v) -> Value {
        Value half = arith::TruncFOp::create(b, halfLike(v[0]), v[0]);
        return arith::ExtFOp::create(b, v[0].getType(), half);
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

  /// Stores the cells of a field, which lie whole and one after the other.
  Status store(const Field &field, const Cells &cells, const BlockLayout &layout, Value address) {
    std::optional<int64_t> start;
    for (const BitMove &move : layout.moves()) {
      if (move.field != &field)
        continue;
      if (!start)
        start = move.address - move.cell * field.width;
      if (move.transform || move.address != *start + move.cell * field.width + move.low)
        start = 1; // not at a byte
    }
    const bool isSupported = field.kind == FieldKind::F32 || field.kind == FieldKind::BF16 ||
                             (isInteger(field.kind) && (field.width == 8 || field.width == 16 || field.width == 32));
    if (!start || *start % 8 || !isSupported)
      return fail("field '{}' of '{}' cannot be stored at run time: it is no row of whole bytes, bf16 or f32",
                  field.name, format.spec());
    for (auto [i, value] : llvm::enumerate(cells.values)) {
      Value stored = value;
      const bool isVector = isa<VectorType>(value.getType());
      if (field.kind == FieldKind::BF16) {
        stored = arith::TruncFOp::create(b, halfLike(value), value);
      } else if (field.width < 32) {
        Type narrow = b.getIntegerType(field.width);
        stored = arith::TruncIOp::create(b, isVector ? Type(b.vectorOf(narrow)) : narrow, value);
      }
      b.store(stored, b.at(address, *start / 8 + static_cast<int64_t>(i) * (isVector ? b.lanes : 1) * field.width / 8));
    }
    return {};
  }

  LaneBuilder &b;
  const Format &format;
  const int64_t columns;
  llvm::StringMap<Cells> values;
};

struct EmitEncodePass : quantc::impl::QFEmitEncodeBase<EmitEncodePass> {
  void runOnOperation() override {
    SmallVector<qf::EncodeOp> ops;
    getOperation().walk([&](qf::EncodeOp op) { ops.push_back(op); });
    for (qf::EncodeOp op : ops)
      if (failed(emit(op)))
        return signalPassFailure();
  }

  static LogicalResult emit(qf::EncodeOp op) {
    auto type = dyn_cast<MemRefType>(op.getOut().getType());
    auto block = type ? dyn_cast<qf::BlockType>(type.getElementType()) : qf::BlockType();
    auto x = dyn_cast<VectorType>(op.getX().getType());
    SmallVector<int64_t> strides;
    int64_t offset;
    if (!block || !x || x.getDimSize(0) != 1 || failed(type.getStridesAndOffset(strides, offset)))
      return op.emitOpError("is no vectorized tile of one row on a buffer of blocks");
    constexpr int64_t lanes = 16;
    LaneBuilder b(op, lanes);
    Value row = vector::ExtractOp::create(b, op.getX(), 0), address = qf::AddressOp::create(b, b.pointer, op.getOut());
    const int64_t width = block.getColumns();
    for (int64_t first = 0; first < x.getDimSize(1); first += width) {
      Value part = vector::ExtractStridedSliceOp::create(b, row, ArrayRef<int64_t>{first},
                                                         ArrayRef<int64_t>{std::min(width, x.getDimSize(1) - first)},
                                                         ArrayRef<int64_t>{1});
      std::shared_ptr<const Format> format = block.getFormat();
      if (Status status = EncodeClauseEmitter(b, *format).emit(part, b.at(address, first / width * block.getBytes()));
          !status)
        return op.emitOpError(status.error().message);
    }
    op.erase();
    return success();
  }
};

} // namespace
