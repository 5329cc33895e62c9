//===- GPUCode.h - the kernels of a program for GPUs --------------------------------------------------------------===//
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "quantc/CodeGen/NVPTX/PTX.h"
#include "quantc/Support/ChildProcess.h"
#include "quantc/Target/GPUTarget.h"
#include <functional>

namespace quantc {

struct GPUCode {
  std::string ptx, cubin;         ///< of all kernels; the second is empty where none was asked for
  std::vector<GPUKernel> kernels; ///< in the order of the module
};

/// Runs `lower`, which gives kernels in the llvm dialect with a `qf.gpu`, and emits them, in a child process: LLVM may
/// abort on what it does not expect, which becomes an error. With `cubin` also machine code: fails where there is no
/// `ptxas`.
Result<GPUCode> gpuCodeInChild(const GPUTarget &target, const ChildLimits &limits, bool cubin,
                               const std::function<Result<mlir::OwningOpRef<mlir::ModuleOp>>()> &lower);

} // namespace quantc
