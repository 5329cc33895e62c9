//===- Launch.h - how many blocks a kernel is launched with -------------------------------------------------------===//
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include <array>
#include <optional>

namespace quantc {

/// Blocks along one axis of a grid: `size`, or the value of a parameter divided by `size`, rounded up.
struct GridAxis {
  int parameter = -1; ///< of the kernel; -1: none
  int64_t size = 1;
};

/// The grid of a kernel, recorded at its function as `qf.grid`.
struct LaunchGrid {
  static constexpr llvm::StringLiteral attribute = "qf.grid";
  GridAxis x, y;

  void record(mlir::Operation *kernel) const;
  static std::optional<LaunchGrid> of(mlir::Operation *kernel);
};

/// Which sizes are parameters of the kernel of a function, behind those of its arguments: the number of tokens (the
/// first size of a matrix or vector), the capacity of the KV cache (the second of a tensor of three dimensions).
struct DynamicSizes {
  bool tokens = false, context = false;
};
DynamicSizes dynamicSizesOf(mlir::func::FuncOp function);

/// The module `@kernels` that kernels become part of; made where there is none.
mlir::gpu::GPUModuleOp gpuModuleOf(mlir::ModuleOp module);

/// Attribute of kernels whose rows are padded: how many rows of the weight there are.
inline constexpr llvm::StringLiteral rowsInMemory = "qf.rows_in_memory";

/// Attribute of parameters that are padded, but not in memory: how many numbers a row of the matrix has there.
inline constexpr llvm::StringLiteral pitchInMemory = "qf.pitch_in_memory";

/// Attribute of a parameter of a function: memory for what kernels of one launch leave each other. It stands behind all
/// other parameters of the kernel, whose attribute `scratchBytes` says how large it is.
inline constexpr llvm::StringLiteral scratch = "qf.scratch", scratchBytes = "qf.scratch_bytes";
/// Records `scratchBytes` of a kernel for some tokens (`mostTokens`), each of which has a row of that memory.
void recordScratch(mlir::Operation *kernel, mlir::ShapedType memory);

/// Attributes of kernels for few tokens: how many they take at most, and the kernel for any number. Those of one number
/// are launched one after the other, as they stand in the module.
inline constexpr llvm::StringLiteral mostTokens = "qf.most_tokens", variantOf = "qf.variant_of";

/// Attribute of kernels that wait themselves for what was launched before them.
inline constexpr llvm::StringLiteral waitsForLaunches = "qf.waits";

} // namespace quantc
