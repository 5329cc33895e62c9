//===- LowerRoPE.cpp - nn.rope as a loop over tokens -----------------------------------------------------------===//

#include "HeadRows.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "quantc/CodeGen/KernelPasses.h"

namespace quantc {
#define GEN_PASS_DEF_NNLOWERROPE
#include "quantc/CodeGen/KernelPasses.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

struct LowerRope : quantc::impl::NNLowerRopeBase<LowerRope> {
  void runOnOperation() override {
    if (failed(checkLayers(getOperation())))
      return signalPassFailure();
    SmallVector<nn::RopeOp> ropes(getOperation().getOps<nn::RopeOp>());
    for (nn::RopeOp rope : llvm::reverse(ropes)) // users first: they may take what they use with them
      if (!isPartOfUsers(rope))
        lower(rope);
  }

  static void lower(nn::RopeOp rope) {
    int64_t headDim = rope.getHeadDim();
    int64_t heads = cast<RankedTensorType>(rope.getType()).getDimSize(1) / headDim;
    HeadRows rows(rope.getY(), headDim);
    VectorBuilder b(rope.getLoc(), rope);
    replaceByTokenLoop(rope, rows.tokens(b), [&](VectorBuilder &b, Value token, Value out) {
      rows.enterToken(b, token);
      return b.loop(b.index(0), b.index(heads), b.index(1), out, [&](Value head, ValueRange carried) {
        return VectorBuilder::Values{b.store(rows.emit(b, head), carried[0], {b.index(0), b.mulIndex(head, headDim)})};
      })[0];
    });
    eraseUnused(rows.fused().drop_front()); // the rope is gone already
  }
};

} // namespace
