//===- PTX.h - from the llvm dialect to PTX -----------------------------------------------------------------------===//
#pragma once

#include "mlir/IR/BuiltinOps.h"
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
  int64_t threads = 0, sharedBytes = 0;       ///< of a block
  int64_t blockTokens = 0, blockRows = 0;     ///< tokens (0: all) and rows of a block
  int64_t warpTokens = 0, warpRows = 0;       ///< of a warp
  int64_t columns = 0, parts = 0, stages = 0; ///< of a step of the sum; warps that share a sum; stages
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
