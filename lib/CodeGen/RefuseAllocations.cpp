//===- RefuseAllocations.cpp - kernels allocate nothing -------------------------------------------------------===//

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "quantc/CodeGen/Passes.h"

namespace quantc {
#define GEN_PASS_DEF_QFREFUSEALLOCATIONS
#include "quantc/CodeGen/Passes.h.inc"
} // namespace quantc

using namespace mlir;

namespace {

struct RefuseAllocationsPass : quantc::impl::QFRefuseAllocationsBase<RefuseAllocationsPass> {
  void runOnOperation() override {
    getOperation().walk([&](Operation *op) {
      auto scratch = dyn_cast<memref::AllocaOp>(op); // of static size: a part of the stack frame
      if (!isa<memref::AllocOp, memref::CopyOp>(op) && (!scratch || scratch.getType().hasStaticShape()))
        return;
      InFlightDiagnostic diag = op->emitOpError("in a kernel: a tensor is not computed in place");
      diag.attachNote() << "give it a writable destination, or fuse it into its consumer";
      signalPassFailure();
    });
  }
};

} // namespace
