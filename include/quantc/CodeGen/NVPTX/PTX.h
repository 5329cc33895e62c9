//===- PTX.h - from the llvm dialect to PTX -----------------------------------------------------------------------===//
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "quantc/CodeGen/NVPTX/Launch.h"
#include "quantc/Support/Result.h"
#include <memory>
#include <string>
#include <vector>

namespace llvm {
class LLVMContext;
class Module;
} // namespace llvm

namespace quantc {

/// What a launch of a kernel needs to know.
struct GPUKernel {
  std::string name;
  std::string base;                     ///< the kernel for any number of tokens; itself, if it is that
  int64_t mostTokens = 0;               ///< 0: any number
  int64_t threads = 0, sharedBytes = 0; ///< of a block
  int64_t parameters = 0;
  LaunchGrid grid;
  int64_t scratchBytes = 0; ///< of memory that its last parameter is the address of; 0: it has no such parameter
  int64_t parts = 0;        ///< warps that share a sum; 0: none do
  bool warpGroups = false;  ///< whether groups of four warps multiply together
  bool waits = false;       ///< for what was launched before, so that it may begin earlier
};

/// The kernels of a module whose `gpu.module` is in the llvm dialect.
std::vector<GPUKernel> kernelsOf(mlir::ModuleOp module);

/// The `gpu.module` of a module as LLVM IR for its `qf.gpu`, optimized by O3: the very IR that becomes PTX. Fails, with
/// the name, where it calls an intrinsic that the architecture does not have (targets/cuda/intrinsics.json): LLVM would
/// abort.
Result<std::unique_ptr<llvm::Module>> translateGPU(mlir::ModuleOp module, llvm::LLVMContext &context);

/// PTX of what `translateGPU` gives.
Result<std::string> emitPTX(mlir::ModuleOp module);

} // namespace quantc
