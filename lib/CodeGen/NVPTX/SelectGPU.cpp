//===- SelectGPU.cpp - the GPU that kernels are for ---------------------------------------------------------------===//

#include "quantc/CodeGen/NVPTX/Passes.h"
#include "quantc/CodeGen/TargetAttributes.h"
#include "quantc/Support/Files.h"

namespace quantc {
#define GEN_PASS_DEF_QFSELECTGPU
#include "quantc/CodeGen/NVPTX/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

struct SelectGPUPass : quantc::impl::QFSelectGPUBase<SelectGPUPass> {
  using QFSelectGPUBase::QFSelectGPUBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (!target.empty()) {
      if (Status status = select(module); !status) {
        module.emitError(status.error().message);
        return signalPassFailure();
      }
    } else if (!module->hasAttr("qf.gpu")) {
      module.emitError("no GPU is named, neither by an option nor by the attribute 'qf.gpu'");
      return signalPassFailure();
    }
    // What launches kernels, or is passed to them, is no code. Users stand behind what they name.
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(*module.getBody())))
      if (!isa<func::FuncOp, gpu::GPUModuleOp>(op))
        op.erase();
  }

  Status select(ModuleOp module) {
    QUANTC_ASSIGN(std::filesystem::path data, dataDirectory());
    QUANTC_ASSIGN(GPUTarget found, GPUTarget::find(target.getValue(), data));
    attach(found, module);
    return {};
  }
};

} // namespace
