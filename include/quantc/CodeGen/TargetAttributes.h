//===- TargetAttributes.h - targets inside IR -------------------------------------------------------------------===//
#pragma once

#include "mlir/IR/Operation.h"
#include "quantc/Target/GPUTarget.h"
#include "quantc/Target/Target.h"

namespace quantc {

/// Sets the attributes `qf.target` and, where the target has what most lack, `qf.units` of a module: what its kernels
/// are compiled for.
void attach(const Target &target, mlir::Operation *module);
/// Attributes of a module beside `qf.gpu`: how many multiprocessors the GPU has; for what only some GPUs have, tokens,
/// rows and stages of `WarpGroups`, and `GPUTarget::dependentLaunch`.
inline constexpr llvm::StringLiteral multiprocessorsOfTarget = "qf.multiprocessors",
                                     warpGroupsOfTarget = "qf.warp_groups",
                                     dependentLaunchOfTarget = "qf.dependent_launch";
/// Sets the attributes `qf.gpu` and `qf.multiprocessors` of a module, and those for what the target has beyond.
void attach(const GPUTarget &target, mlir::Operation *module);

} // namespace quantc
