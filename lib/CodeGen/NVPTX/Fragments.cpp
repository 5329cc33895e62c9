//===- Fragments.cpp - the planes behind a tensor of quantized numbers ------------------------------------------===//

#include "Fragments.h"

using namespace mlir;
using namespace quantc;

FailureOr<FragmentStorage> quantc::fragmentsOf(Operation *op, qf::ElemType format) {
  Result<qf::BlockType> block = qf::BlockType::of(format, FragmentStorage::rows);
  if (!block)
    return op->emitOpError(block.error().message);
  Result<FragmentStorage> fragments = FragmentStorage::derive(block->getKernelStorage());
  if (!fragments)
    return op->emitOpError(fragments.error().message);
  return std::move(*fragments);
}
