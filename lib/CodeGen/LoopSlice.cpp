//===- LoopSlice.cpp - what makes a value in a loop, for another place ------------------------------------------===//

#include "LoopSlice.h"
#include "mlir/Analysis/SliceAnalysis.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;
using namespace quantc;

std::optional<LoopSlice> LoopSlice::of(Value value, scf::ForOp loop, Value index) {
  LoopSlice slice;
  slice.value = value;
  slice.index = index;
  BackwardSliceOptions options;
  options.omitBlockArguments = true;
  options.inclusive = true;
  options.filter = [&](Operation *op) { return loop->isProperAncestor(op); };
  if (failed(getBackwardSlice(value, &slice.ops, options)))
    return {};
  auto isKnown = [&](Value operand) {
    if (Operation *by = operand.getDefiningOp())
      return slice.ops.contains(by) || !loop->isAncestor(by);
    return operand == index || !loop->isAncestor(operand.getParentBlock()->getParentOp());
  };
  if (!isKnown(value))
    return {};
  for (Operation *op : slice.ops)
    if (op->getNumRegions() || !isMemoryEffectFree(op) || !llvm::all_of(op->getOperands(), isKnown))
      return {};
  return slice;
}

Value LoopSlice::clone(OpBuilder &b, Value other) const {
  IRMapping mapping;
  mapping.map(index, other);
  for (Operation *op : ops)
    b.clone(*op, mapping);
  return mapping.lookupOrDefault(value);
}
