//===- Heads.cpp - nn.rope and nn.kv_append: a block for each head of each token ----------------------------------===//

#include "DeviceCache.h"
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

/// A block of threads for each head and 16 tokens. Positions go by groups of 16, which share blocks of storage: there
/// may be one more than blocks of threads, so each has two.
static LogicalResult emitCodedAppend(nn::KvAppendOp op, gpu::GPUModuleOp module) {
  auto keyShape = cast<RankedTensorType>(op.getKeys().getType()).getShape();
  const int64_t heads = keyShape[0], valueDim = cast<RankedTensorType>(op.getValues().getType()).getDimSize(2);
  DeviceCache keys(op, op.getKeys()), values(op, op.getValues());
  const HeadRow key(op.getK(), keyShape[2]), value(op.getV(), valueDim);
  LayerBuilder b(op->getParentOfType<func::FuncOp>(), module, threadsFor(std::max(keyShape[2], valueDim), 256));
  Value keyRow = b.shared(keys.paddedFeatures()), valueRow = b.shared(values.paddedFeatures());
  Value head = b.block(gpu::Dimension::x), past = b.parameter(op.getPast()), end = b.add(past, b.tokens());
  Value firstGroup = b.add(b.div(past, nn::keyGroup), b.block(gpu::Dimension::y));
  Value groups = b.ceilDiv(b.tokens(), nn::keyGroup);
  bool isEncoded = true;
  auto encode = [&](DeviceCache &cache, Value row, Value position) {
    b.forEach(cache.blocks(),
              [&](Value part) { isEncoded = isEncoded && succeeded(cache.encode(b, row, head, position, part)); });
  };
  b.loop(b.i64(0), b.i64(2), 1, {}, [&](Value round, ValueRange) {
    Value first = b.mul(b.add(firstGroup, b.mul(round, groups)), nn::keyGroup);
    b.loop(b.max(past, first), b.min(end, b.add(first, nn::keyGroup)), 1, {}, [&](Value position, ValueRange) {
      Value token = b.sub(position, past);
      key.emit(b, token, head, keyRow, 0, keys.paddedFeatures());
      value.emit(b, token, head, valueRow, 0, values.paddedFeatures());
      encode(keys, keyRow, position);
      encode(values, valueRow, position);
      b.barrier(); // the next position may write the rows again
      return LayerBuilder::Values();
    });
    return LayerBuilder::Values();
  });
  GridAxis tokens = b.perToken();
  tokens.size = nn::keyGroup;
  b.finish({{-1, heads}, tokens});
  return success(isEncoded);
}

/// Places in the caches: see NN_Cache.
LogicalResult quantc::emitAppend(nn::KvAppendOp op, gpu::GPUModuleOp module) {
  if (DeviceCache::isCoded(op.getKeys()))
    return emitCodedAppend(op, module);
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
