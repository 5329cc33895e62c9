//===- Heads.cpp - nn.rope and nn.kv_append: a block for each head of each token ----------------------------------===//

#include "HeadRow.h"
#include "Layers.h"

using namespace mlir;
using namespace quantc;

LogicalResult quantc::emitRope(nn::RopeOp op, gpu::GPUModuleOp module) {
  const int64_t headDim = static_cast<int64_t>(op.getHeadDim());
  const int64_t features = cast<RankedTensorType>(op.getType()).getDimSize(1);
  LayerBuilder b(op->getParentOfType<func::FuncOp>(), module, threadsFor(headDim, 256));
  Value token = b.block(gpu::Dimension::y), head = b.block(gpu::Dimension::x), row = b.shared(headDim);
  HeadRow(op.getY(), headDim).emit(b, token, head, row, 0);
  Value first = b.add(b.mul(token, features), b.mul(head, headDim)), out = destinationOf(op.getY());
  b.forEach(headDim, [&](Value i) { b.store(b.loadShared(row, i), out, b.add(first, i)); });
  b.finish({{-1, features / headDim}, b.perToken()});
  return success();
}

/// Places in the caches: see NN_Cache.
LogicalResult quantc::emitAppend(nn::KvAppendOp op, gpu::GPUModuleOp module) {
  auto shape = cast<RankedTensorType>(op.getKeys().getType()).getShape();
  const int64_t heads = shape[0], headDim = shape[2];
  const int64_t valueDim = cast<RankedTensorType>(op.getValues().getType()).getDimSize(2);
  LayerBuilder b(op->getParentOfType<func::FuncOp>(), module, threadsFor(std::max(headDim, valueDim), 256));
  Value token = b.block(gpu::Dimension::y), head = b.block(gpu::Dimension::x), row = b.shared(headDim);
  HeadRow(op.getK(), headDim).emit(b, token, head, row, 0);
  Value position = b.add(b.parameter(op.getPast()), token);
  Value group = b.add(b.mul(head, b.div(b.context(), nn::keyGroup)), b.div(position, nn::keyGroup));
  Value lane = b.rem(position, nn::keyGroup);
  b.forEach(headDim, [&](Value i) {
    Value at = b.add(b.mul(b.add(b.mul(group, headDim), i), nn::keyGroup), lane);
    b.store(b.loadShared(row, i), op.getKeys(), at);
  });
  Value from = b.add(b.mul(token, heads * valueDim), b.mul(head, valueDim));
  Value to = b.mul(b.add(b.mul(head, b.context()), position), valueDim);
  b.forEach(valueDim, [&](Value i) { b.store(b.load(op.getV(), b.add(from, i)), op.getValues(), b.add(to, i)); });
  b.finish({{-1, heads}, b.perToken()});
  return success();
}
