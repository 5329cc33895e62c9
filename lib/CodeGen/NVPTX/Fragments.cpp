//===- Fragments.cpp - the planes behind a tensor of quantized numbers ------------------------------------------===//

#include "Fragments.h"
#include "mlir/IR/BuiltinTypes.h"

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

MemRefType quantc::planeType(Type weight, const FragmentPlane &plane) {
  ArrayRef<int64_t> shape = cast<ShapedType>(weight).getShape();
  auto units = [](int64_t extent, unsigned unit) { return static_cast<int64_t>(llvm::divideCeil(extent, unit)); };
  return MemRefType::get({units(shape[0], FragmentStorage::rows), units(shape[1], plane.columns), plane.words},
                         IntegerType::get(weight.getContext(), plane.wordBits));
}
