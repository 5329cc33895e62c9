//===- HeadRow.h - the features of one head of one token in shared memory -----------------------------------------===//
#pragma once

#include "LayerBuilder.h"
#include "quantc/Dialect/NN/NN.h"

namespace quantc {

/// A value of tokens × (heads · head_dim), made head by head in shared memory by all threads of a block: the ops on
/// heads that made it (nn.rope, and nn.rms_norm of runs of `head_dim`) are part of the computation.
class HeadRow {
public:
  using Value = mlir::Value;

  HeadRow(Value value, int64_t headDim);

  /// Writes the features of a head of a token to `array` from `first` on, and zeros up to `padded` features. Ends with
  /// a barrier.
  void emit(LayerBuilder &b, Value token, Value head, Value array, int64_t first, int64_t padded = 0) const;
  /// The argument that the chain of operations begins with.
  Value argument() const { return source; }

private:
  void normalize(LayerBuilder &b, nn::RmsNormOp norm, Value array, int64_t first) const;
  void rotate(LayerBuilder &b, nn::RopeOp rope, Value token, Value array, int64_t first) const;

  int64_t headDim;
  llvm::SmallVector<mlir::Operation *> chain; ///< users first
  Value source;
};

/// 1 / sqrt(squares / count + eps).
mlir::Value emitNormFactor(LayerBuilder &b, mlir::Value squares, int64_t count, double eps);

/// Threads of a block that shares `count` numbers: whole warps, at most `most`.
int64_t threadsFor(int64_t count, int64_t most);

} // namespace quantc
