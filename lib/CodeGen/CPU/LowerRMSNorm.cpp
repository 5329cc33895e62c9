//===- LowerRMSNorm.cpp - nn.rms_norm as a loop over tokens ----------------------------------------------------===//

#include "HeadRows.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "quantc/CodeGen/KernelPasses.h"
#include "quantc/CodeGen/Storage.h"
#include "quantc/Dialect/QF/QF.h"

namespace quantc {
#define GEN_PASS_DEF_NNLOWERRMSNORM
#include "quantc/CodeGen/KernelPasses.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

/// The norm of one run of features: its factor, and what the run becomes.
struct Run {
  Run(VectorBuilder &b, nn::RmsNormOp norm, Value token, Value first) : norm(norm), token(token), first(first) {
    int64_t count = features(norm.getWeight());
    Value squares = forChunks(b, count, sumLanes, b.splat(0, sumLanes), [&](Value at, int64_t width, Value sum) {
      return b.addSquares(sum, load(b, at, width));
    });
    factor = emitNormFactor(b, squares, count, norm.getEps().convertToFloat());
  }
  /// `width` normalized features, the first of them `at` of the run.
  Value emit(VectorBuilder &b, Value at, int64_t width) {
    return b.mul(b.mul(load(b, at, width), b.broadcast(factor, width)), b.load(norm.getWeight(), at, width));
  }
  static int64_t features(Value value) { return cast<RankedTensorType>(value.getType()).getShape().back(); }

private:
  Value load(VectorBuilder &b, Value at, int64_t width) {
    return b.load(norm.getX(), {token, b.addIndex(first, at)}, width);
  }

  nn::RmsNormOp norm;
  Value token, first, factor;
};

struct LowerRMSNorm : quantc::impl::NNLowerRMSNormBase<LowerRMSNorm> {
  void runOnOperation() override {
    if (failed(checkLayers(getOperation())))
      return signalPassFailure();
    SmallVector<nn::RmsNormOp> norms(getOperation().getOps<nn::RmsNormOp>());
    for (nn::RmsNormOp norm : norms) {
      bool wholeToken = Run::features(norm.getWeight()) == Run::features(norm.getX());
      auto encode = norm->hasOneUse() ? dyn_cast<qf::EncodeOp>(*norm->user_begin()) : nullptr;
      if (encode && wholeToken) {
        if (failed(lowerEncoded(norm, encode)))
          return signalPassFailure();
      } else if (!isPartOfUsers(norm)) {
        lower(norm);
      }
    }
  }

  static void lower(nn::RmsNormOp norm) {
    VectorBuilder b(norm.getLoc(), norm);
    int64_t count = Run::features(norm.getWeight()), runs = Run::features(norm.getX()) / count;
    replaceByTokenLoop(norm, b.size(norm.getX(), 0), [&](VectorBuilder &b, Value token, Value out) {
      return b.loop(b.index(0), b.index(runs), b.index(1), out, [&](Value i, ValueRange carried) {
        Value first = b.mulIndex(i, count);
        Run run(b, norm, token, first);
        return VectorBuilder::Values{forChunks(b, count, sumLanes, carried[0], [&](Value at, int64_t width, Value row) {
          return b.store(run.emit(b, at, width), row, {b.index(0), b.addIndex(first, at)});
        })};
      })[0];
    });
  }

  /// The norm and what quantizes it, a block of the activations at a time: normalized numbers never lie in memory.
  static LogicalResult lowerEncoded(nn::RmsNormOp norm, qf::EncodeOp encode) {
    FailureOr<qf::BlockType> block = activationBlock(encode, encode.getOut().getType());
    if (failed(block))
      return failure();
    VectorBuilder b(encode.getLoc(), encode);
    replaceByTokenLoop(encode, b.size(norm.getX(), 0), [&](VectorBuilder &b, Value token, Value out) {
      Run run(b, norm, token, b.index(0));
      int64_t count = Run::features(norm.getX());
      return forChunks(b, count, block->getColumns(), out, [&](Value at, int64_t width, Value row) -> Value {
        SmallVector<OpFoldResult> offsets{b.getIndexAttr(0), at}, sizes{b.getIndexAttr(1), b.getIndexAttr(width)};
        SmallVector<OpFoldResult> strides(2, b.getIndexAttr(1));
        Value tile = tensor::EmptyOp::create(b, ArrayRef<int64_t>{1, width}, b.getF32Type());
        Value codes = tensor::ExtractSliceOp::create(b, row, offsets, sizes, strides);
        tile = b.store(run.emit(b, at, width), tile, {b.index(0), b.index(0)});
        codes = qf::EncodeOp::create(b, codes.getType(), tile, codes).getResult(0);
        return tensor::InsertSliceOp::create(b, codes, row, offsets, sizes, strides);
      });
    });
    norm.erase();
    return success();
  }
};

} // namespace
