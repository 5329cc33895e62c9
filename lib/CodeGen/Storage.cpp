//===- Storage.cpp - the block behind a tensor of quantized numbers ---------------------------------------------===//

#include "quantc/CodeGen/Storage.h"
#include "Units.h"
#include "mlir/IR/Operation.h"
#include "mlir/IR/TypeUtilities.h"

using namespace mlir;
using namespace quantc;

static FailureOr<qf::BlockType> blockOf(Operation *op, Type type, unsigned rows, bool inLines = false) {
  Type element = getElementTypeOrSelf(type);
  if (auto block = dyn_cast<qf::BlockType>(element))
    return block;
  Result<qf::BlockType> block = qf::BlockType::of(cast<qf::ElemType>(element), rows, inLines);
  if (!block)
    return op->emitOpError(block.error().message);
  return *block;
}

bool quantc::isQuantized(Type type) {
  return isa<qf::ElemType, qf::BlockType>(getElementTypeOrSelf(type));
}

FailureOr<qf::BlockType> quantc::weightBlock(Operation *op, Type type) {
  if (qf::TargetAttr target = qf::TargetAttr::of(op))
    return blockOf(op, type, target.getRows());
  return op->emitOpError("needs the attribute 'qf.target' of its module to choose storage");
}

FailureOr<qf::BlockType> quantc::activationBlock(Operation *op, Type type) {
  return blockOf(op, type, 0, static_cast<bool>(TargetUnits(op).matrix()));
}
