//===- PadRows.cpp - products whose rows are no multiple of those of a matrix instruction -------------------------===//

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/TypeUtilities.h"
#include "quantc/CodeGen/NVPTX/Launch.h"
#include "quantc/CodeGen/NVPTX/Passes.h"
#include "quantc/Format/FragmentStorage.h"
#include <utility>

namespace quantc {
#define GEN_PASS_DEF_QFPADROWS
#include "quantc/CodeGen/NVPTX/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

struct PadRowsPass : quantc::impl::QFPadRowsBase<PadRowsPass> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    int64_t rows = 0;
    const WalkResult agrees = function.walk([&](qf::ContractOp sum) -> WalkResult {
      auto weight = cast<RankedTensorType>(sum.getW().getType());
      if (!isa<qf::ElemType>(weight.getElementType()))
        return WalkResult::advance();
      const int64_t before = std::exchange(rows, weight.getDimSize(0));
      if (before == 0 || before == rows || (before % FragmentStorage::rows == 0 && rows % FragmentStorage::rows == 0))
        return WalkResult::advance();
      sum.emitOpError() << "has " << rows << " rows, another product of this kernel " << before
                        << ": rows are padded where all have as many";
      return WalkResult::interrupt();
    });
    if (agrees.wasInterrupted())
      return signalPassFailure();
    if (rows <= 0 || rows % FragmentStorage::rows == 0)
      return;
    const int64_t padded = llvm::alignTo(rows, FragmentStorage::rows);
    const IntegerAttr inMemory = OpBuilder(function).getI64IntegerAttr(rows);
    // Columns come in whole units of 64 (qf-pad-columns): no other size is that of the rows.
    auto pad = [&](Value v) {
      auto type = dyn_cast<RankedTensorType>(v.getType());
      if (!type || type.getRank() == 0)
        return;
      SmallVector<int64_t> shape(type.getShape());
      const bool isWeight = isa<qf::ElemType>(type.getElementType());
      int64_t &extent = isWeight ? shape.front() : shape.back();
      if (extent == rows)
        extent = padded;
      v.setType(type.clone(shape));
    };
    for (BlockArgument argument : function.getArguments()) {
      Type before = argument.getType();
      pad(argument);
      if (argument.getType() != before && !isa<qf::ElemType>(getElementTypeOrSelf(before)))
        function.setArgAttr(argument.getArgNumber(), pitchInMemory, inMemory);
    }
    function.walk([&](Operation *op) { llvm::for_each(op->getResults(), pad); });
    function.setFunctionType(FunctionType::get(&getContext(), function.front().getArgumentTypes(),
                                               function.front().getTerminator()->getOperandTypes()));
    function->setAttr(rowsInMemory, inMemory);
  }
};

} // namespace
