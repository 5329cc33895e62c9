//===- LowerKVAppend.cpp - nn.kv_append as a loop over tokens --------------------------------------------------===//

#include "CodedCache.h"
#include "HeadRows.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "quantc/CodeGen/KernelPasses.h"

namespace quantc {
#define GEN_PASS_DEF_NNLOWERKVAPPEND
#include "quantc/CodeGen/KernelPasses.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

/// Inserts the features of one head, rounded to f16, into a key tile `heads × 1 × head_dim × 1`.
Value insertKey(VectorBuilder &b, Value row, Value tile, Value head) {
  int64_t headDim = cast<VectorType>(row.getType()).getNumElements();
  Value half = arith::TruncFOp::create(b, VectorType::get(headDim, b.getF16Type()), row);
  for (int64_t d = 0; d < headDim; ++d) {
    Value feature = vector::ExtractOp::create(b, half, ArrayRef{d});
    tile = tensor::InsertOp::create(b, feature, tile, ValueRange{head, b.index(0), b.index(d), b.index(0)});
  }
  return tile;
}

struct LowerKVAppend : quantc::impl::NNLowerKVAppendBase<LowerKVAppend> {
  void runOnOperation() override {
    if (failed(checkLayers(getOperation())))
      return signalPassFailure();
    SmallVector<nn::KvAppendOp> ops(getOperation().getOps<nn::KvAppendOp>());
    for (nn::KvAppendOp op : ops)
      if (!CodedCache::isCoded(op.getKeys()))
        lower(op);
      else if (failed(lowerCoded(op)))
        return signalPassFailure();
  }

  static void lower(nn::KvAppendOp op) {
    VectorBuilder b(op.getLoc(), op);
    auto keyShape = cast<RankedTensorType>(op.getKeys().getType()).getShape();
    int64_t heads = keyShape[0], headDim = keyShape[2];
    int64_t valueDim = cast<RankedTensorType>(op.getValues().getType()).getDimSize(2);
    HeadRows keyRows(op.getK(), headDim);

    SmallVector<OpFoldResult> tokens{getAsOpFoldResult(keyRows.tokens(b))};
    auto loop = scf::ForallOp::create(b, tokens, ValueRange{groupKeys(b, op.getKeys()), op.getValues()}, std::nullopt);
    b.setInsertionPointToStart(loop.getBody());
    Value token = loop.getInductionVar(0);
    Value position = b.addIndex(op.getPast(), token), group = b.divIndex(position, nn::keyGroup);
    Value lane = b.subIndex(position, b.mulIndex(group, nn::keyGroup));
    keyRows.enterToken(b, token);

    // The token's lane of each head's group of keys, the token's row of each head's values.
    OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(1), all = b.getIndexAttr(heads);
    SmallVector<OpFoldResult> keyAt{zero, group, zero, lane}, keySize{all, one, b.getIndexAttr(headDim), one};
    SmallVector<OpFoldResult> valueAt{zero, position, zero}, valueSize{all, one, b.getIndexAttr(valueDim)};
    SmallVector<OpFoldResult> strides(4, one);
    Value keys = loop.getRegionIterArgs()[0], values = loop.getRegionIterArgs()[1];
    Value keyTile = tensor::ExtractSliceOp::create(b, keys, keyAt, keySize, strides);
    Value valueTile = tensor::ExtractSliceOp::create(b, values, valueAt, valueSize, ArrayRef(strides).drop_front());
    VectorBuilder::Values tiles =
        b.loop(b.index(0), b.index(heads), b.index(1), {keyTile, valueTile}, [&](Value head, ValueRange carried) {
          Value value = b.load(op.getV(), {token, b.mulIndex(head, valueDim)}, valueDim);
          value = arith::TruncFOp::create(b, VectorType::get(valueDim, b.getF16Type()), value);
          return VectorBuilder::Values{insertKey(b, keyRows.emit(b, head), carried[0], head),
                                       b.store(value, carried[1], {head, b.index(0), b.index(0)})};
        });
    insertTile(b, loop, tiles[0], keys, keyAt, keySize);
    insertTile(b, loop, tiles[1], values, valueAt, valueSize);

    b.setInsertionPointAfter(loop);
    auto type = cast<RankedTensorType>(op.getKeys().getType());
    op.getNewKeys().replaceAllUsesWith(ungroupKeys(b, loop.getResult(0), type, b.size(op.getKeys(), 1)));
    op.getNewValues().replaceAllUsesWith(loop.getResult(1));
    op.erase();
    eraseUnused(keyRows.fused());
  }

  /// A task is a group of 16 positions, which share blocks.
  static LogicalResult lowerCoded(nn::KvAppendOp op) {
    VectorBuilder b(op.getLoc(), op);
    const int64_t heads = cast<RankedTensorType>(op.getKeys().getType()).getDimSize(0);
    HeadRows keyRows(op.getK(), cast<RankedTensorType>(op.getKeys().getType()).getDimSize(2));
    const int64_t valueDim = cast<RankedTensorType>(op.getValues().getType()).getDimSize(2);
    FailureOr<CodedCache> keys = CodedCache::create(b, op, op.getKeys());
    FailureOr<CodedCache> values = failed(keys) ? keys : CodedCache::create(b, op, op.getValues());
    if (failed(values))
      return failure();

    Value past = op.getPast(), tokens = keyRows.tokens(b), end = b.addIndex(past, tokens);
    Value firstGroup = b.divIndex(past, nn::keyGroup);
    Value groups = b.subIndex(b.divIndex(b.addIndex(end, nn::keyGroup - 1), nn::keyGroup), firstGroup);
    auto loop = scf::ForallOp::create(b, SmallVector<OpFoldResult>{groups},
                                      ValueRange{keys->blocks(), values->blocks()}, std::nullopt);
    b.setInsertionPointToStart(loop.getBody());
    Value group = b.addIndex(firstGroup, loop.getInductionVar(0)), first = b.mulIndex(group, nn::keyGroup);
    OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(1);
    SmallVector<OpFoldResult> at{zero, group, zero, zero}, strides(4, one);
    auto sizes = [&](const CodedCache &cache) {
      return SmallVector<OpFoldResult>{b.getIndexAttr(heads), one, b.getIndexAttr(cache.blocksOfHead()),
                                       b.getIndexAttr(cache.bytesOfBlock())};
    };
    VectorBuilder::Values shared(loop.getRegionIterArgs()), tiles;
    const std::array<CodedCache, 2> caches{*keys, *values};
    for (auto [cache, whole] : llvm::zip(caches, shared))
      tiles.push_back(tensor::ExtractSliceOp::create(b, whole, at, sizes(cache), strides));

    // The positions of the group that this step has.
    Value from = b.maxIndex(past, first), to = b.minIndex(end, b.addIndex(first, nn::keyGroup));
    tiles = b.loop(from, to, b.index(1), tiles, [&](Value position, ValueRange ofToken) {
      Value token = b.subIndex(position, past), lane = b.subIndex(position, first);
      keyRows.enterToken(b, token);
      return b.loop(b.index(0), b.index(heads), b.index(1), ofToken, [&](Value head, ValueRange carried) {
        Value value = b.load(op.getV(), {token, b.mulIndex(head, valueDim)}, valueDim);
        return VectorBuilder::Values{keys->encode(b, keyRows.emit(b, head), carried[0], head, lane),
                                     values->encode(b, value, carried[1], head, lane)};
      });
    });
    insertTile(b, loop, tiles[0], shared[0], at, sizes(*keys));
    insertTile(b, loop, tiles[1], shared[1], at, sizes(*values));

    b.setInsertionPointAfter(loop);
    op.getNewKeys().replaceAllUsesWith(keys->ungroup(b, loop.getResult(0)));
    op.getNewValues().replaceAllUsesWith(values->ungroup(b, loop.getResult(1)));
    CodedCache::updateKernelType(op);
    op.erase();
    eraseUnused(keyRows.fused());
    return success();
  }
};

} // namespace
