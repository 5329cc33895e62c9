//===- BlockBytes.h - blocks in buffers of bytes ----------------------------------------------------------------===//
#pragma once

#include "LaneBuilder.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "quantc/Dialect/QF/QF.h"

namespace quantc {

/// The address of a block in a buffer of bytes whose last dimension is a block, the others being at `at`.
inline mlir::Value emitBlockAddress(LaneBuilder &b, mlir::Value bytes, mlir::ValueRange at) {
  auto type = llvm::cast<mlir::MemRefType>(bytes.getType());
  llvm::SmallVector<mlir::OpFoldResult> offsets(at.begin(), at.end()), sizes(at.size(), b.getIndexAttr(1));
  offsets.push_back(b.getIndexAttr(0));
  sizes.push_back(b.getIndexAttr(type.getShape().back()));
  llvm::SmallVector<mlir::OpFoldResult> strides(sizes.size(), b.getIndexAttr(1));
  mlir::Value block = mlir::memref::SubViewOp::create(b, bytes, offsets, sizes, strides);
  return qf::AddressOp::create(b, b.pointer, block);
}

} // namespace quantc
