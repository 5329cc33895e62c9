//===- CodedCache.h - keys or values of the KV cache in a format ------------------------------------------------===//
//
// A cache in a format is a matrix of kernel storage for each head: 16 positions are the rows of a block, features its
// columns. So the lanes of a decoded vector are positions, which is how attention wants keys; and what evaluates
// weights evaluates the cache.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "VectorBuilder.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "quantc/Dialect/QF/QF.h"

namespace quantc {

class CodedCache {
public:
  using Value = mlir::Value;

  /// Whether a cache of an nn op is in a format, and not f16.
  static bool isCoded(Value cache);
  /// The parameter of the kernel becomes a buffer of bytes. Emits an error where the cache is no parameter.
  static mlir::FailureOr<CodedCache> create(VectorBuilder &b, mlir::Operation *op, Value cache);

  /// Gives the kernel of an op the type that its parameters and results have by now.
  static void updateKernelType(mlir::Operation *op);

  /// Bytes: [head][group of 16 positions][block of features][byte of the block].
  Value blocks() const { return grouped; }
  /// The reverse, of what `blocks` became, to the type of the parameter.
  Value ungroup(VectorBuilder &b, Value blocks) const;

  /// Features of a head, in whole blocks.
  int64_t paddedFeatures() const { return blocksOfHead() * block.getColumns(); }
  int64_t blocksOfHead() const { return (features + block.getColumns() - 1) / block.getColumns(); }
  int64_t bytesOfBlock() const { return block.getBytes(); }

  /// `tile`, a slice of one group of `blocks`, with the features of a head in row `lane` of the group.
  Value encode(VectorBuilder &b, Value features, Value tile, Value head, Value lane) const;
  /// panel[firstRow + feature][position]: a group of positions, on the stack. The panel has 16 columns.
  void decode(VectorBuilder &b, Value head, Value group, Value panel, int64_t firstRow) const;
  /// panel[position][feature].
  void decodeTransposed(VectorBuilder &b, Value head, Value group, Value panel) const;

private:
  CodedCache(Value parameter, Value grouped, qf::BlockType block, int64_t features)
      : parameter(parameter), grouped(grouped), block(block), features(features) {}
  void decodeBlocks(VectorBuilder &b, Value head, Value group,
                    llvm::function_ref<void(Value first, Value values)> each) const;

  Value parameter, grouped;
  qf::BlockType block;
  int64_t features; // of a head
};

} // namespace quantc
