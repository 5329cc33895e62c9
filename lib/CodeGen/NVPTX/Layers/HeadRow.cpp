//===- HeadRow.cpp - the features of one head of one token in shared memory ---------------------------------------===//

#include "HeadRow.h"
#include "../DeviceMath.h"
#include "../Fragments.h"

using namespace mlir;
using namespace quantc;

static int64_t features(Value value) {
  return cast<RankedTensorType>(value.getType()).getShape().back();
}

int64_t quantc::threadsFor(int64_t count, int64_t most) {
  return std::min<int64_t>(llvm::alignTo(count, warpSize), most);
}

Value quantc::emitNormFactor(LayerBuilder &b, Value squares, int64_t count, double eps) {
  Value mean = b.div(squares, b.f32(static_cast<double>(count)));
  return b.div(b.f32(1), emitSqrt(b, b.add(mean, b.f32(eps))));
}

HeadRow::HeadRow(Value value, int64_t headDim) : headDim(headDim), source(value) {
  for (Operation *op; (op = source.getDefiningOp()) && isa<nn::RopeOp, nn::RmsNormOp>(op); source = op->getOperand(0))
    chain.push_back(op);
}

void HeadRow::emit(LayerBuilder &b, Value token, Value head, Value array, int64_t first, int64_t padded) const {
  Value row = b.add(b.mul(token, features(source)), b.mul(head, headDim));
  b.forEach(headDim, [&](Value i) { b.storeShared(b.load(source, b.add(row, i)), array, b.add(i, first)); });
  if (padded > headDim)
    b.forEach(padded - headDim, [&](Value i) { b.storeShared(b.f32(0), array, b.add(i, first + headDim)); });
  for (Operation *op : llvm::reverse(chain)) {
    if (auto norm = dyn_cast<nn::RmsNormOp>(op))
      normalize(b, norm, array, first);
    else
      rotate(b, cast<nn::RopeOp>(op), token, array, first);
  }
  b.barrier();
}

/// Each thread has the same features before and after.
void HeadRow::normalize(LayerBuilder &b, nn::RmsNormOp norm, Value array, int64_t first) const {
  Value squares = b.loop(b.thread(), b.i64(headDim), b.threads, b.f32(0), [&](Value i, ValueRange sum) {
    Value x = b.loadShared(array, b.add(i, first));
    return LayerBuilder::Values{b.fma(x, x, sum[0])};
  })[0];
  squares = b.overBlock(LayerBuilder::Combine::Sum, squares)[0];
  Value factor = emitNormFactor(b, squares, headDim, norm.getEps().convertToFloat());
  b.forEach(headDim, [&](Value i) {
    Value x = b.mul(b.loadShared(array, b.add(i, first)), factor);
    b.storeShared(b.mul(x, b.load(norm.getWeight(), i)), array, b.add(i, first));
  });
}

/// The tables hold angles of positions p mod R and of R · (p div R); cosine and sine of their sum.
void HeadRow::rotate(LayerBuilder &b, nn::RopeOp rope, Value token, Value array, int64_t first) const {
  const int64_t pairs = features(rope.getLow());
  const int64_t period = cast<RankedTensorType>(rope.getLow().getType()).getDimSize(0);
  const bool half = rope.getStyle() == nn::RopeStyle::Half;
  Value position = b.add(b.parameter(rope.getPast()), token);
  Value low = b.mul(b.rem(position, period), 2 * pairs), high = b.mul(b.div(position, period), 2 * pairs);
  b.barrier();
  b.forEach(pairs, [&](Value i) {
    auto angle = [&](Value table, Value row) {
      Value at = b.add(row, i);
      return std::pair(b.load(table, at), b.load(table, b.add(at, pairs)));
    };
    auto [lowCosine, lowSine] = angle(rope.getLow(), low);
    auto [highCosine, highSine] = angle(rope.getHigh(), high);
    Value cosine = b.sub(b.mul(lowCosine, highCosine), b.mul(lowSine, highSine));
    Value sine = b.add(b.mul(lowSine, highCosine), b.mul(lowCosine, highSine));
    Value at = b.add(half ? i : b.mul(i, 2), first), other = b.add(at, half ? pairs : 1);
    Value x = b.loadShared(array, at), y = b.loadShared(array, other);
    b.storeShared(b.sub(b.mul(x, cosine), b.mul(y, sine)), array, at);
    b.storeShared(b.add(b.mul(y, cosine), b.mul(x, sine)), array, other);
  });
  b.barrier();
}
