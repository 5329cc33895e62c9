//===- LowerRMSNorm.cpp - nn.rms_norm as a loop over tokens ----------------------------------------------------------===//

#include "HeadRows.h"
#include "quantc/CodeGen/KernelPasses.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace quantc {
#define GEN_PASS_DEF_NNLOWERRMSNORM
#include "quantc/CodeGen/KernelPasses.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

struct LowerRMSNorm : quantc::impl::NNLowerRMSNormBase<LowerRMSNorm> {
  void runOnOperation() override {
    if (failed(checkLayers(getOperation())))
      return signalPassFailure();
    SmallVector<nn::RmsNormOp> norms(getOperation().getOps<nn::RmsNormOp>());
    for (nn::RmsNormOp norm : norms)
      if (!isPartOfUsers(norm))
        lower(norm);
  }

  static void lower(nn::RmsNormOp norm) {
    VectorBuilder b(norm.getLoc(), norm);
    Value x = norm.getX(), weight = norm.getWeight();
    int64_t run = cast<RankedTensorType>(norm.getWeight().getType()).getDimSize(0);
    int64_t runs = cast<RankedTensorType>(x.getType()).getDimSize(1) / run;
    double eps = norm.getEps().convertToFloat();
    replaceByTokenLoop(norm, b.size(x, 0), [&](VectorBuilder &b, Value token, Value out) {
      return b.loop(b.index(0), b.index(runs), b.index(1), out, [&](Value i, ValueRange carried) {
        Value first = b.mulIndex(i, run);
        auto load = [&](Value at, int64_t width) { return b.load(x, {token, b.addIndex(first, at)}, width); };
        Value squares = forChunks(b, run, b.splat(0, sumLanes), [&](Value at, int64_t width, Value sum) {
          return b.addSquares(sum, load(at, width));
        });
        Value factor = emitNormFactor(b, squares, run, eps);
        return VectorBuilder::Values{forChunks(b, run, carried[0], [&](Value at, int64_t width, Value slice) {
          Value normed = b.mul(b.mul(load(at, width), b.broadcast(factor, width)), b.load(weight, at, width));
          return b.store(normed, slice, {b.index(0), b.addIndex(first, at)});
        })};
      })[0];
    });
  }
};

} // namespace
