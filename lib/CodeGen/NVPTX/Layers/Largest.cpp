//===- Largest.cpp - nn.argmax, nn.top: a block for each token ----------------------------------------------------===//

#include "HeadRow.h"
#include "Layers.h"
#include <limits>

using namespace mlir;
using namespace quantc;

static constexpr double infinity = std::numeric_limits<double>::infinity();

static FailureOr<int64_t> featuresOf(Operation *op, Value x) {
  const int64_t features = cast<RankedTensorType>(x.getType()).getDimSize(1);
  // Places go over the block as f32, which has them all up to here.
  constexpr int64_t most = int64_t(1) << std::numeric_limits<float>::digits;
  if (features > most)
    return op->emitOpError() << "has " << features << " features; a kernel for GPUs takes at most " << most;
  return features;
}

LogicalResult quantc::emitArgMax(nn::ArgMaxOp op, gpu::GPUModuleOp module) {
  const FailureOr<int64_t> features = featuresOf(op, op.getX());
  if (failed(features))
    return failure();
  LayerBuilder b(op->getParentOfType<func::FuncOp>(), module, threadsFor(*features, 1024));
  Value token = b.block(gpu::Dimension::y), first = b.mul(token, *features);

  // What a thread has seen: the largest number, and where it stood first.
  auto seen =
      b.loop(b.thread(), b.i64(*features), b.threads, {b.f32(-infinity), b.thread()}, [&](Value i, ValueRange before) {
        Value x = b.load(op.getX(), b.add(first, i));
        Value isLarger = b.less(before[0], x);
        return LayerBuilder::Values{b.max(before[0], x), b.select(isLarger, i, before[1])};
      });
  auto [largest, place] = b.firstLargest(seen[0], seen[1], *features);
  b.when(b.less(b.thread(), b.i64(1)), [&] {
    b.store(place, destinationOf(op.getTokens()), token);
    b.store(largest, destinationOf(op.getLargest()), token);
  });
  b.finish({{}, b.perToken()});
  return success();
}

/// One number after the other: each thread offers the first of its own that was not taken yet, and who offered what was
/// taken looks for its next one.
LogicalResult quantc::emitTop(nn::TopOp op, gpu::GPUModuleOp module) {
  const FailureOr<int64_t> features = featuresOf(op, op.getX());
  if (failed(features))
    return failure();
  const int64_t count = cast<RankedTensorType>(op.getLogits().getType()).getDimSize(1);
  LayerBuilder b(op->getParentOfType<func::FuncOp>(), module, threadsFor(*features, 1024));
  Value token = b.block(gpu::Dimension::y), first = b.mul(token, *features), out = b.mul(token, count);

  // The first number, by size and then by place, behind (`last`, `lastPlace`) of those from `begin` on. A NaN is
  // behind all, and stays what it is.
  auto behind = [&](Value last, Value lastPlace, Value begin, ValueRange none) {
    return b.loop(begin, b.i64(*features), b.threads, none, [&](Value i, ValueRange before) {
      Value x = b.load(op.getX(), b.add(first, i));
      Value isSmaller = arith::CmpFOp::create(b, arith::CmpFPredicate::ULT, x, last);
      Value isSame = arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, x, last);
      Value isLater = arith::OrIOp::create(b, isSmaller, b.both(isSame, b.less(lastPlace, i)));
      Value isFirst = b.both(isLater, b.less(before[0], x));
      return LayerBuilder::Values{b.select(isLater, b.max(before[0], x), before[0]), b.select(isFirst, i, before[1])};
    });
  };
  Value lowest = b.f32(-infinity), nowhere = b.i64(0);
  auto offers = behind(b.f32(infinity), b.i64(-1), b.thread(), {lowest, nowhere});
  b.loop(b.i64(0), b.i64(count), 1, offers, [&](Value i, ValueRange offer) {
    auto [largest, place] = b.firstLargest(offer[0], offer[1], *features);
    b.when(b.less(b.thread(), b.i64(1)), [&] {
      b.store(place, destinationOf(op.getTokens()), b.add(out, i));
      b.store(largest, destinationOf(op.getLogits()), b.add(out, i));
    });
    Value isMine = b.both(arith::CmpFOp::create(b, arith::CmpFPredicate::OEQ, offer[0], largest),
                          arith::CmpIOp::create(b, arith::CmpIPredicate::eq, offer[1], place));
    return behind(offer[0], offer[1], b.select(isMine, b.thread(), b.i64(*features)),
                  {b.select(isMine, lowest, offer[0]), b.select(isMine, nowhere, offer[1])});
  });
  b.finish({{}, b.perToken()});
  return success();
}
