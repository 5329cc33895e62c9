//===- TargetAttributes.h - targets inside IR -------------------------------------------------------------------===//
#pragma once

#include "mlir/IR/Operation.h"
#include "quantc/Target/GPUTarget.h"
#include "quantc/Target/Target.h"

namespace quantc {

/// Sets the attributes `qf.target` and, where the target has what most lack, `qf.units` of a module: what its kernels
/// are compiled for.
void attach(const Target &target, mlir::Operation *module);
/// The attribute of a module beside `qf.gpu` for what only some GPUs have: tokens, rows and stages of `WarpGroups`.
inline constexpr llvm::StringLiteral warpGroupsOfTarget = "qf.warp_groups";
/// The attribute of a module beside `qf.gpu` that says how many multiprocessors the GPU has.
inline constexpr llvm::StringLiteral multiprocessorsOfTarget = "qf.multiprocessors";
/// Sets the attributes `qf.gpu` and `qf.multiprocessors` of a module, and `qf.warp_groups` where the target has them.
void attach(const GPUTarget &target, mlir::Operation *module);

} // namespace quantc
