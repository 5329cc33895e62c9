//===- Variants.cpp - kernels for few tokens beside the one for any number ----------------------------------------===//

#include "Variants.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "quantc/CodeGen/NVPTX/Launch.h"

using namespace mlir;
using namespace quantc;

func::FuncOp quantc::variantFor(func::FuncOp kernel, const Twine &name, int64_t tokens) {
  OpBuilder b(kernel);
  b.setInsertionPointAfter(kernel);
  auto copy = cast<func::FuncOp>(b.clone(*kernel));
  copy.setName(name.str());
  copy->setAttr(mostTokens, b.getI64IntegerAttr(tokens));
  copy->setAttr(variantOf, FlatSymbolRefAttr::get(kernel.getNameAttr()));
  return copy;
}

func::FuncOp quantc::variantFor(func::FuncOp kernel, const Twine &name, int64_t tokens, RankedTensorType memory) {
  func::FuncOp copy = variantFor(kernel, name, tokens);
  Builder b(kernel.getContext());
  (void)copy.insertArgument(copy.getNumArguments(), memory,
                            b.getDictionaryAttr(b.getNamedAttr(scratch, b.getUnitAttr())), kernel.getLoc());
  return copy;
}

void quantc::writeOnlyMemory(func::FuncOp function, Value stored) {
  Builder b(function.getContext());
  Operation *end = function.front().getTerminator();
  end->setOperands(stored);
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(function.front())))
    if (&op != end && op.use_empty())
      op.erase();
  constexpr StringLiteral writable = bufferization::BufferizationDialect::kWritableAttrName;
  for (BlockArgument argument : function.getArguments())
    function.removeArgAttr(argument.getArgNumber(), writable);
  function.setArgAttr(function.getNumArguments() - 1, writable, b.getBoolAttr(true));
  function.setFunctionType(b.getFunctionType(function.getArgumentTypes(), stored.getType()));
}
