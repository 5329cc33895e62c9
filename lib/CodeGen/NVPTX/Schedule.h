//===- Schedule.h - how blocks and warps share a product --------------------------------------------------------===//
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "quantc/Dialect/QF/QF.h"

namespace quantc {

/// Sizes of the tiles of a kernel; 0 is the whole extent. Recorded at the function as `qf.tiles`.
struct Schedule {
  static constexpr llvm::StringLiteral attribute = "qf.tiles";
  int64_t blockTokens, blockRows; ///< of a thread block
  int64_t warpTokens, warpRows;   ///< of a warp
  int64_t columns;                ///< of one step of the sum
  int64_t parts;                  ///< warps that share a sum, each with a part of the columns; 0: each has all
  int64_t stages;                 ///< tiles along the sum that are in shared memory; 0: none

  void record(mlir::func::FuncOp function) const;
  /// That of a function, if it has one.
  static std::optional<Schedule> of(mlir::Operation *function);
};

/// Rows of a thread block of a matrix with `rows`: `most`, or half of it, …, so that there are whole blocks; at
/// least 16.
int64_t rowsOfBlock(int64_t rows, int64_t most);

/// The schedule for the contractions of a function: few tokens stream the weights, many go by tiles. Emits an error
/// where shapes, formats or shared memory do not fit. With `warpGroups`, and where the module has `qf.warp_groups`,
/// tiles are those of warp groups if the rows allow it; the function's `qf.warp_group` says so.
mlir::FailureOr<Schedule> chooseSchedule(mlir::func::FuncOp function, qf::GPUTargetAttr target, bool warpGroups);

} // namespace quantc
