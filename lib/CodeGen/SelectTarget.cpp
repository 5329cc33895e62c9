//===- SelectTarget.cpp - the kernels of a program, for one target ----------------------------------------------===//

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "quantc/CodeGen/Passes.h"
#include "quantc/CodeGen/TargetAttributes.h"
#include "quantc/Support/Files.h"

namespace quantc {
#define GEN_PASS_DEF_QFSELECTTARGET
#include "quantc/CodeGen/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

struct SelectTargetPass : quantc::impl::QFSelectTargetBase<SelectTargetPass> {
  using QFSelectTargetBase::QFSelectTargetBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (!target.empty()) {
      if (Status status = select(module); !status) {
        module.emitError() << status.error().message;
        return signalPassFailure();
      }
    } else if (!module->hasAttr("qf.target")) {
      module.emitError("no target is named, neither by an option nor by the attribute 'qf.target'");
      return signalPassFailure();
    }
    // Users stand behind what they name.
    for (Operation &op : llvm::make_early_inc_range(llvm::reverse(*module.getBody())))
      if (!isa<func::FuncOp>(op))
        op.erase();
  }

  Status select(ModuleOp module) {
    QUANTC_ASSIGN(std::filesystem::path data, dataDirectory());
    QUANTC_ASSIGN(Target found, Target::find(target.getValue(), data));
    attach(found, module);
    return {};
  }
};

} // namespace
