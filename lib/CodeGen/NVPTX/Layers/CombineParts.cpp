//===- CombineParts.cpp - nn.combine_parts: a block for each head of each token -----------------------------------===//

#include "../DeviceMath.h"
#include "../Fragments.h"
#include "HeadRow.h"
#include "Layers.h"
#include "Positions.h"

using namespace mlir;
using namespace quantc;

/// Parts whose values are on their way together.
static constexpr int64_t partsAtOnce = 8;

LogicalResult quantc::emitCombineParts(nn::CombinePartsOp op, gpu::GPUModuleOp module) {
  const int64_t heads = static_cast<int64_t>(op.getHeads()), parts = static_cast<int64_t>(op.getParts());
  const int64_t features = cast<RankedTensorType>(op.getY().getType()).getDimSize(1);
  const int64_t valueDim = features / heads, row = valueDim + 2;
  LayerBuilder b(op->getParentOfType<func::FuncOp>(), module, threadsFor(std::max(valueDim, parts), 256));
  Value token = b.block(gpu::Dimension::y), head = b.block(gpu::Dimension::x);
  const Positions seen(b, b.add(b.parameter(op.getPast()), token), op.getWindow());
  Value count = b.ceilDiv(b.sub(seen.end, seen.begin), seen.ofPart(b, parts)), last = b.sub(count, b.i64(1));
  // Parts behind the last one have nothing in memory, which may be anything.
  auto placeOf = [&](Value part) {
    Value ofToken = b.add(b.mul(token, parts), b.min(part, last));
    return b.mul(b.add(b.mul(ofToken, heads), head), row);
  };

  Value factors = b.shared(b.threads), place = placeOf(b.thread());
  Value maximum = b.load(op.getState(), b.add(place, valueDim));
  Value most = b.overBlock(LayerBuilder::Combine::Maximum, maximum)[0];
  Value factor = b.select(b.less(b.thread(), count), emitExp(b, b.sub(maximum, most)), b.f32(0));
  b.storeShared(factor, factors, b.thread());
  Value sum = b.mul(factor, b.load(op.getState(), b.add(place, valueDim + 1)));
  sum = b.overBlock(LayerBuilder::Combine::Sum, sum)[0];
  b.barrier();

  Value out = destinationOf(op.getY()), first = b.add(b.mul(token, features), b.mul(head, valueDim));
  b.forEach(valueDim, [&](Value feature) {
    Value total = b.loop(b.i64(0), count, partsAtOnce, b.f32(0), [&](Value part, ValueRange carried) {
      Value values = carried[0];
      for (int64_t i = 0; i < partsAtOnce; i++) {
        Value value = b.load(op.getState(), b.add(placeOf(b.add(part, i)), feature));
        values = b.fma(b.loadShared(factors, b.add(part, i)), value, values);
      }
      return LayerBuilder::Values{values};
    })[0];
    b.store(b.div(total, sum), out, b.add(first, feature));
  });
  b.finish({{-1, heads}, b.perToken()});
  return success();
}
