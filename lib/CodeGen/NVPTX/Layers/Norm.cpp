//===- Norm.cpp - nn.rms_norm: a block for each run of each token -------------------------------------------------===//

#include "HeadRow.h"
#include "Layers.h"

using namespace mlir;
using namespace quantc;

LogicalResult quantc::emitNorm(nn::RmsNormOp op, gpu::GPUModuleOp module) {
  const int64_t features = cast<RankedTensorType>(op.getX().getType()).getDimSize(1);
  const int64_t run = cast<RankedTensorType>(op.getWeight().getType()).getDimSize(0);
  LayerBuilder b(op->getParentOfType<func::FuncOp>(), module, threadsFor(run, 512));
  Value first = b.mul(b.block(gpu::Dimension::y), features);
  first = b.add(first, b.mul(b.block(gpu::Dimension::x), run));
  Value squares = b.loop(b.thread(), b.i64(run), b.threads, b.f32(0), [&](Value i, ValueRange sum) {
    Value x = b.load(op.getX(), b.add(first, i));
    return LayerBuilder::Values{b.fma(x, x, sum[0])};
  })[0];
  squares = b.overBlock(LayerBuilder::Combine::Sum, squares)[0];
  Value factor = emitNormFactor(b, squares, run, op.getEps().convertToFloat()), out = destinationOf(op.getY());
  b.forEach(run, [&](Value i) {
    Value x = b.mul(b.load(op.getX(), b.add(first, i)), factor);
    b.store(b.mul(x, b.load(op.getWeight(), i)), out, b.add(first, i));
  });
  b.finish({{-1, features / run}, b.perToken()});
  return success();
}
