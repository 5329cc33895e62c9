//===- Kernels.cpp - PTX in the emulator --------------------------------------------------------------------------===//

#include "Kernels.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/Parser/Parser.h"
#include "quantc/CodeGen/NVPTX/PTX.h"
#include "quantc/Pipelines/Pipelines.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include <filesystem>

using namespace quantc;
namespace fs = std::filesystem;

Result<std::shared_ptr<const emulator::Emulator>> standin::kernelsOf(std::string_view ptx, const std::string &phases) {
  mlir::DialectRegistry registry;
  registerAllDialects(registry);
  mlir::MLIRContext context(registry, mlir::MLIRContext::Threading::DISABLED);
  context.loadAllAvailableDialects();
  std::error_code error;
  for (const auto &file : fs::directory_iterator(phases, error)) {
    if (!file.path().filename().string().ends_with("-llvm.mlir"))
      continue;
    auto module = mlir::parseSourceFile<mlir::ModuleOp>(file.path().string(), &context);
    if (!module || !(*module)->hasAttr("qf.gpu"))
      continue;
    QUANTC_ASSIGN(const std::string again, emitPTX(*module));
    if (again != ptx)
      continue;
    auto llvmContext = std::make_unique<llvm::LLVMContext>();
    QUANTC_ASSIGN(auto code, translateGPU(*module, *llvmContext));
    QUANTC_ASSIGN(auto emulator, emulator::Emulator::create(std::move(code), std::move(llvmContext)));
    return std::make_shared<const emulator::Emulator>(std::move(emulator));
  }
  return fail("stand-in: no module of '{}' gives this PTX; compile with --dump-phases", phases);
}
