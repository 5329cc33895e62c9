//===- OverlapLaunches.cpp - kernels that begin while the one before ends -----------------------------------------===//

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "quantc/CodeGen/NVPTX/Launch.h"
#include "quantc/CodeGen/NVPTX/Passes.h"
#include "quantc/CodeGen/TargetAttributes.h"

namespace quantc {
#define GEN_PASS_DEF_QFOVERLAPLAUNCHES
#include "quantc/CodeGen/NVPTX/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

/// LLVM thinks that the intrinsics touch no memory, and may move loads across.
void assembly(ImplicitLocOpBuilder &b, StringRef text) {
  auto none = LLVM::TailCallKindAttr::get(b.getContext(), LLVM::tailcallkind::TailCallKind::None);
  auto att = LLVM::AsmDialectAttr::get(b.getContext(), LLVM::AsmDialect::AD_ATT);
  LLVM::InlineAsmOp::create(b, TypeRange(), ValueRange(), b.getStringAttr(text), b.getStringAttr("~{memory}"),
                            b.getUnitAttr(), UnitAttr(), none, att, ArrayAttr());
}

struct OverlapLaunchesPass : quantc::impl::QFOverlapLaunchesBase<OverlapLaunchesPass> {
  void runOnOperation() override {
    gpu::GPUFuncOp kernel = getOperation();
    if (!kernel.isKernel() || !kernel->getParentOfType<ModuleOp>()->hasAttr(dependentLaunchOfTarget))
      return;
    auto b = ImplicitLocOpBuilder::atBlockBegin(kernel.getLoc(), &kernel.front());
    assembly(b, "griddepcontrol.wait;");
    // Not before: the next kernel but one would begin while this one still waits, and what its multiprocessor has
    // cached for the kernel before could be old by the time that it reads.
    assembly(b, "griddepcontrol.launch_dependents;");
    kernel->setAttr(waitsForLaunches, b.getUnitAttr());
  }
};

} // namespace
