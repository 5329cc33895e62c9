//===- HeadRows.h - the features of one head of one token as a vector ------------------------------------------===//
#pragma once

#include "VectorBuilder.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "quantc/Dialect/NN/NN.h"

namespace quantc {

/// Heads of more features are refused: a head is one vector, and code grows with it.
inline constexpr int64_t maxHeadDim = 1024;

/// Whether the layers of a kernel can be lowered: emits an error where a size is dynamic that code depends on (all but
/// tokens and positions of the cache), or a head has too many features.
mlir::LogicalResult checkLayers(mlir::func::FuncOp kernel);

/// A value of tokens × (heads · head_dim), computed head by head: the ops on heads that made it (nn.rope, and
/// nn.rms_norm of runs of `head_dim`) are part of the computation.
class HeadRows {
public:
  using Value = mlir::Value;

  HeadRows(Value value, int64_t headDim);

  /// How many tokens there are.
  Value tokens(VectorBuilder &b) const { return b.size(source, 0); }
  /// What the heads of a token share (angles), computed at the builder's place. Once for each token.
  void enterToken(VectorBuilder &b, Value token);
  /// The features of a head of that token.
  Value emit(VectorBuilder &b, Value head) const;

  /// The ops that became part of the computation, users first.
  llvm::ArrayRef<mlir::Operation *> fused() const { return chain; }

private:
  struct Angles {
    Value cosines, sines;
  };
  Angles emitAngles(VectorBuilder &b, nn::RopeOp rope) const;
  static Value rotate(VectorBuilder &b, nn::RopeStyle style, Value row, Angles angles);

  int64_t headDim;
  llvm::SmallVector<mlir::Operation *> chain;
  Value source;
  Value token;
  llvm::SmallVector<Angles> angles; // of the ropes of the chain, in its order
};

/// Whether each user of an op on heads computes the op itself, by HeadRows: then it needs no loop of its own.
bool isPartOfUsers(mlir::Operation *op);

/// 1 / sqrt(squares / count + eps), of a sum of squares in lanes.
mlir::Value emitNormFactor(VectorBuilder &b, mlir::Value squares, int64_t count, double eps);

/// Keys of the cache, `head × position × feature` by their type, as they lie in memory:
/// `head × group of 16 positions × feature × 16`.
mlir::Value groupKeys(VectorBuilder &b, mlir::Value keys);
/// The reverse, to the type of the cache; `positions` is its second size.
mlir::Value ungroupKeys(VectorBuilder &b, mlir::Value grouped, mlir::RankedTensorType type, mlir::Value positions);

} // namespace quantc
