//===- Emulate.cpp - kernels of GPUs, as far as the emulator ----------------------------------------------------===//

#include "Emulate.h"
#include "quantc/CodeGen/NVPTX/PTX.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"

using namespace quantc;

Result<emulator::Emulator> test::emulate(mlir::ModuleOp module, const NVPTXOptions &options,
                                         const std::function<void(mlir::ModuleOp)> &lanes,
                                         const std::function<void(llvm::Module &)> &change) {
  QUANTC_TRY(lowerGPUKernels(module, options, [&](llvm::StringRef level, mlir::ModuleOp kernels) {
    if (level == "lanes" && lanes)
      lanes(kernels);
  }));
  auto context = std::make_unique<llvm::LLVMContext>();
  QUANTC_ASSIGN(std::unique_ptr<llvm::Module> code, translateGPU(module, *context));
  if (change)
    change(*code);
  return emulator::Emulator::create(std::move(code), std::move(context));
}
