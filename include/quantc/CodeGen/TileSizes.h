//===- TileSizes.h - how large tasks and register tiles are -----------------------------------------------------===//
#pragma once

#include "mlir/Interfaces/TilingInterface.h"
#include "quantc/Dialect/QF/QF.h"

namespace quantc {

/// Sizes of the tiles of one root: a matrix of tokens × rows (of a weight), or of tokens × columns for `qf.encode` and
/// `qf.decode`. 0 is the whole extent.
struct TileSizes {
  static constexpr llvm::StringLiteral attribute = "qf.tiles";
  int64_t taskTokens, taskRows; ///< of a task
  int64_t tokens, rows;         ///< of a register tile
  int64_t restRows;             ///< rows of the last register tile, if fewer; else 0

  void record(mlir::Operation *root) const;
  static TileSizes of(mlir::Operation *root);
};

/// Sizes from the module's `qf.target`, or from `overrides` (tokens and rows of a task, tokens of a register tile)
/// where given. Emits an error where the root's shape or formats do not fit.
mlir::FailureOr<TileSizes> chooseTileSizes(mlir::TilingInterface root, llvm::ArrayRef<int64_t> overrides);

/// Columns of one step of a contraction: whole blocks of both operands. Emits an error where one has no storage.
mlir::FailureOr<int64_t> sumColumns(qf::ContractOp sum);

} // namespace quantc
