//===- WarpGroup.h - groups of four warps that multiply together --------------------------------------------------===//
//
// `wgmma` multiplies 64 rows of weights, in registers, with up to 256 tokens in shared memory, while its warps go on.
// Warp w of a group has rows 16w .. 16w + 15, as operand A of `mma.m16n8k16` lies in its lanes, and the sums of all
// tokens, as 8 tokens each lie in those of that instruction: storage of weights, tiles and all that follows the sums
// are those of single warps.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "Schedule.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "quantc/Dialect/QF/QFGPU.h"

namespace quantc {

struct WarpGroup {
  static constexpr int64_t warps = 4, rows = 64;
  /// Columns of a panel of activations: rows of 128 bytes, whose chunks of 16 bytes lie at the places `chunk ^ (row %
  /// 8)`, so that 8 rows of one chunk are in different banks. It repeats after `alignment` bytes.
  static constexpr int64_t panelColumns = 64, alignment = 1024;
  /// Attribute of kernels whose warps multiply together, and of their `qf.warp_dot`.
  static constexpr llvm::StringLiteral attribute = "qf.warp_group";

  static bool isUsedBy(mlir::Operation *op) { return op->hasAttr(attribute); }

  /// Where chunk `at` = {token, column} of a tile of tokens × columns lies in its panels, `[columns / 64 ·
  /// tokens][64]`.
  static llvm::SmallVector<mlir::Value> placeInPanels(mlir::ImplicitLocOpBuilder &b, mlir::ValueRange at,
                                                      int64_t tokens);
};

/// Emits acc + x wᵀ of a warp group before `dot`, as `emitWarpDot` does. `x` are panels of activations in shared memory
/// that all threads see and an async proxy may read; all products have been waited for.
mlir::FailureOr<mlir::Value> emitGroupDot(qf::WarpDotOp dot, mlir::Value acc, mlir::OpBuilder::Listener *listener);

} // namespace quantc
