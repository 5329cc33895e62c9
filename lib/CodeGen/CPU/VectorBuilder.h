//===- VectorBuilder.h - building loops of vectors -------------------------------------------------------------===//
//
// What the lowerings of nn ops share: constants, loops that carry values, loads that widen to f32, sums of fixed order.
//
// These layers do not go through linalg: with upstream's tiled reductions the order of a sum follows the tile, so the
// target; here it is part of the result. A softmax with a running maximum and the pairs of rope have no named form
// there either.
//
//===-----------------------------------------------------------------------------------------------------------===//
#pragma once

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace quantc {

/// Lanes of every sum: a property of the results, not of the target.
inline constexpr int64_t sumLanes = 16;

class VectorBuilder : public mlir::ImplicitLocOpBuilder {
public:
  using ImplicitLocOpBuilder::ImplicitLocOpBuilder;
  using Value = mlir::Value;
  using Values = llvm::SmallVector<mlir::Value>;

  mlir::VectorType vectorType(int64_t width) { return mlir::VectorType::get(width, getF32Type()); }

  Value index(int64_t value);
  Value f32(double value);
  /// A vector of `width` times `value`.
  Value splat(double value, int64_t width);
  /// A vector of `width` times a scalar.
  Value broadcast(Value scalar, int64_t width);

  Value addIndex(Value a, Value b) { return mlir::arith::AddIOp::create(*this, a, b); }
  Value addIndex(Value a, int64_t b) { return b ? addIndex(a, index(b)) : a; }
  Value subIndex(Value a, Value b) { return mlir::arith::SubIOp::create(*this, a, b); }
  Value mulIndex(Value a, int64_t b) { return mlir::arith::MulIOp::create(*this, a, index(b)); }
  /// a / b of numbers that are not negative, b a constant.
  Value divIndex(Value a, int64_t b) { return mlir::arith::DivUIOp::create(*this, a, index(b)); }
  Value minIndex(Value a, Value b) { return mlir::arith::MinSIOp::create(*this, a, b); }
  Value maxIndex(Value a, Value b) { return mlir::arith::MaxSIOp::create(*this, a, b); }

  Value add(Value a, Value b) { return mlir::arith::AddFOp::create(*this, a, b); }
  Value sub(Value a, Value b) { return mlir::arith::SubFOp::create(*this, a, b); }
  Value mul(Value a, Value b) { return mlir::arith::MulFOp::create(*this, a, b); }
  Value div(Value a, Value b) { return mlir::arith::DivFOp::create(*this, a, b); }
  /// The larger one. Not a NaN, unless `b` is one.
  Value max(Value a, Value b) {
    Value greater = mlir::arith::CmpFOp::create(*this, mlir::arith::CmpFPredicate::OGT, a, b);
    return mlir::arith::SelectOp::create(*this, greater, a, b);
  }
  /// a · b + c, rounded once.
  Value fma(Value a, Value b, Value c) { return mlir::vector::FMAOp::create(*this, a, b, c); }

  /// The size of a dimension of a tensor.
  Value size(Value tensor, int64_t dimension);
  /// `width` consecutive elements of a tensor, widened to f32. They lie within it.
  Value load(Value tensor, mlir::ValueRange at, int64_t width);
  /// One element of a tensor, widened to f32.
  Value extract(Value tensor, mlir::ValueRange at);
  /// The tensor with a vector written into it. The vector lies within it.
  Value store(Value vector, Value tensor, mlir::ValueRange at);

  /// The lanes [from, from + width) of a vector.
  Value slice(Value vector, int64_t from, int64_t width);
  /// Vectors one after the other.
  Value concat(mlir::ValueRange vectors);
  /// Of n vectors of n lanes, n a power of two: lane j of vector i becomes lane i of vector j.
  Values transpose(Values rows);
  /// The sum of `sumLanes` lanes by a tree: lanes i and i + 8, i and i + 4, i + 2, i + 1.
  Value sumOf(Value vector) {
    return reduce(vector, [this](Value a, Value b) { return add(a, b); });
  }
  /// The maximum of `sumLanes` lanes.
  Value maxOf(Value vector) {
    return reduce(vector, [this](Value a, Value b) { return max(a, b); });
  }
  /// `squares` plus the squares of a vector of any width: its element i goes to lane i mod `sumLanes`.
  Value addSquares(Value squares, Value vector);

  /// for (i = from; i < to; i += step), carrying values: `body` gets i and the values, and returns the next ones.
  Values loop(Value from, Value to, Value step, mlir::ValueRange inits,
              llvm::function_ref<Values(Value, mlir::ValueRange)> body);

private:
  Value reduce(Value vector, llvm::function_ref<Value(Value, Value)> combine);
};

/// Carries `value` over `count` features, `width` at a time, fewer at the end if need be: body(first feature, width,
/// value).
mlir::Value forChunks(VectorBuilder &b, int64_t count, int64_t width, mlir::Value value,
                      llvm::function_ref<mlir::Value(mlir::Value, int64_t, mlir::Value)> body);

/// Where the result of an op goes: the op's own destination, the kernel's if it is only copied there, or new memory of
/// `tokens` rows.
class Destination {
public:
  Destination(VectorBuilder &b, mlir::Value result, mlir::Value tokens);
  mlir::Value tensor() const { return destination; }
  /// Puts `value`, the destination filled, in the place of the result and of its copy. Erases the op.
  void replace(mlir::Value value);

private:
  mlir::Value result, destination;
};

/// Replaces an op with one result, tokens × features, by a parallel loop over `tokens`. `body` gets a token and the
/// token's slice of the result (1 × features), and returns the slice filled.
void replaceByTokenLoop(mlir::Operation *op, mlir::Value tokens,
                        llvm::function_ref<mlir::Value(VectorBuilder &, mlir::Value, mlir::Value)> body);

/// Inserts `tile` into the shared output `destination` of a parallel loop, at the loop's end.
void insertTile(VectorBuilder &b, mlir::scf::ForallOp loop, mlir::Value tile, mlir::Value destination,
                llvm::ArrayRef<mlir::OpFoldResult> offsets, llvm::ArrayRef<mlir::OpFoldResult> sizes);

/// Erases those of `ops`, users first, whose results nobody uses.
void eraseUnused(llvm::ArrayRef<mlir::Operation *> ops);

} // namespace quantc
