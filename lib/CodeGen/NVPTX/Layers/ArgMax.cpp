//===- ArgMax.cpp - nn.argmax: a block for each token -------------------------------------------------------------===//

#include "HeadRow.h"
#include "Layers.h"
#include <limits>

using namespace mlir;
using namespace quantc;

LogicalResult quantc::emitArgMax(nn::ArgMaxOp op, gpu::GPUModuleOp module) {
  const int64_t features = cast<RankedTensorType>(op.getX().getType()).getDimSize(1);
  // Places go over the block as f32, which has them all up to here.
  constexpr int64_t most = int64_t(1) << std::numeric_limits<float>::digits;
  if (features > most)
    return op.emitOpError() << "has " << features << " features; a kernel for GPUs takes at most " << most;
  LayerBuilder b(op->getParentOfType<func::FuncOp>(), module, threadsFor(features, 1024));
  Value token = b.block(gpu::Dimension::y), first = b.mul(token, features);

  // What a thread has seen: the largest number, and where it stood first.
  Value lowest = b.f32(-std::numeric_limits<double>::infinity());
  auto seen = b.loop(b.thread(), b.i64(features), b.threads, {lowest, b.thread()}, [&](Value i, ValueRange before) {
    Value x = b.load(op.getX(), b.add(first, i));
    Value isLarger = b.less(before[0], x);
    return LayerBuilder::Values{b.max(before[0], x), b.select(isLarger, i, before[1])};
  });
  Value largest = b.overBlock(LayerBuilder::Combine::Maximum, seen[0])[0];

  // The smallest place is the largest of those below zero. Where the largest is NaN no thread has it: any place.
  Value hasIt = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, seen[0], largest);
  Value negative = arith::SIToFPOp::create(b, b.getF32Type(), b.sub(b.i64(0), seen[1]));
  Value place = b.overBlock(LayerBuilder::Combine::Maximum,
                            b.select(hasIt, negative, b.f32(static_cast<double>(1 - features))))[0];
  b.when(b.less(b.thread(), b.i64(1)), [&] {
    Value at = b.sub(b.i64(0), arith::FPToSIOp::create(b, b.getI64Type(), place));
    b.store(at, destinationOf(op.getTokens()), token);
    b.store(largest, destinationOf(op.getLargest()), token);
  });
  b.finish({{}, b.perToken()});
  return success();
}
