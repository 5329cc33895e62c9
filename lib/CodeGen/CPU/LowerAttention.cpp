//===- LowerAttention.cpp - nn.attention as a loop over heads and tiles of queries -----------------------------===//
//
// Attention with a running maximum ("online softmax": Milakov and Gimelshein 2018; FlashAttention: Dao et al. 2022):
// the scores of a row never lie in memory as a whole. A *row* is one query head of one token; the rows of a task share
// the key head, so each load of a key or value serves all of them.
//
// For each block of positions: scores = keys · q with 16 keys as the lanes of a vector, the new maximum of each row,
// the weights exp(score - maximum), and values = values · exp(old maximum - maximum) + weights · V. Blocks are aligned
// in the cache, not to the tile: so the arithmetic of a row is the same whatever rows share its task.
//
// A cache in a format is decoded once for all rows of a task, some positions at a time, to panels on the stack; from
// there on it is the same arithmetic.
//
//===-----------------------------------------------------------------------------------------------------------===//

#include "CodedCache.h"
#include "HeadRows.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "quantc/CodeGen/Choices.h"
#include "quantc/CodeGen/KernelPasses.h"
#include "quantc/Dialect/QF/QF.h"

namespace quantc {
#define GEN_PASS_DEF_NNLOWERATTENTION
#include "quantc/CodeGen/KernelPasses.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

/// Positions between two updates of the running maximum.
constexpr int64_t blockSize = 128;
/// Features of keys, as vectors of 16 positions, that are decoded at once: 16 KiB, half of the nearest cache.
constexpr int64_t panelFeatures = 256;
/// Less than any score, yet finite, so that it can be subtracted from itself.
constexpr double lowest = -1e30;

/// The rows of a task: `tokens` tokens of `heads` query heads that share a key head.
struct RowTile {
  int64_t tokens, heads;
  int64_t rows() const { return tokens * heads; }
};

class AttentionEmitter {
public:
  AttentionEmitter(nn::AttentionOp op, int64_t maxRows);
  /// Replaces the op by the loop over its tasks.
  LogicalResult emit();

private:
  using Values = VectorBuilder::Values;
  /// What changes from block to block: the maximum of each row (one vector), the sum of its weights in 16 lanes.
  struct Running {
    Value maximum;
    Values sums;
  };
  /// The place of a tile: its first token, its key head, its first query head.
  struct Place {
    Value token, keyHead, head;
  };

  /// One tile; returns `out`, the slice of the result that belongs to the task, with the tile at row `outRow` written.
  Value emitTile(RowTile tile, Place place, Value out, Value outRow);
  Running emitBlock(RowTile tile, Place place, Value base, Value end, Running running);
  Values emitScores(RowTile tile, Place place, Value base, Value count);
  Values emitDots(RowTile tile, Place place, Value firstGroup, int64_t groups);
  Values emitWeights(RowTile tile, Value maximum, Values sums, Value count);
  void emitValues(RowTile tile, Place place, Value base, Value count, Value factors);
  void emitCodedValues(RowTile tile, Place place, Value base, Value count, Value factors);
  void addValues(RowTile tile, Value first, Value end, Value factors,
                 function_ref<Value(Value, int64_t, int64_t)> load);
  /// The score of 16 keys, as the softmax sees it: capped, and -inf where the row does not see the key.
  Value finishScore(Value score, Value position, Value key);

  /// A matrix of f32 on the stack.
  Value makeScratch(int64_t rows, int64_t columns) {
    return memref::AllocaOp::create(b, MemRefType::get({rows, columns}, b.getF32Type()), b.getI64IntegerAttr(64));
  }
  Value scratchLoad(Value scratch, int64_t row, Value column, int64_t width) {
    return vector::LoadOp::create(b, b.vectorType(width), scratch, ValueRange{b.index(row), column});
  }
  /// One element in all lanes.
  Value scratchBroadcast(Value scratch, int64_t row, Value column, int64_t width) {
    return b.broadcast(memref::LoadOp::create(b, scratch, ValueRange{b.index(row), column}), width);
  }
  void scratchStore(Value vector, Value scratch, int64_t row, Value column) {
    vector::StoreOp::create(b, vector, scratch, ValueRange{b.index(row), column});
  }
  Value lane(Value vector, int64_t i) { return vector::ExtractOp::create(b, vector, ArrayRef{i}); }

  nn::AttentionOp op;
  VectorBuilder b;
  int64_t keyHeads, headDim, valueDim, group; // group: query heads of a key head
  RowTile fullTile;
  int64_t maxRows; // and vectors of 16 sums that the registers hold
  HeadRows queryRows;
  Value queries;                                    // scratch: of the rows, scaled
  Value keys;                                       // f16: [key head][group of 16 positions][feature][16]
  std::optional<CodedCache> codedKeys, codedValues; // or in a format
  int64_t panelGroups = 0;                          // of 16 positions, that are decoded at once
  Value keyPanel;                                   // scratch: [group, feature][16]
  Value valuePanel;                                 // scratch: [16 positions][feature]
  Value lastGroup;                                  // of 16 positions
  Value weights;                                    // scratch: of a block, first the scores, then the weights
  Value sums;                                       // scratch: of the weighted values
};

AttentionEmitter::AttentionEmitter(nn::AttentionOp op, int64_t maxRows)
    : op(op), b(op.getLoc(), op), maxRows(maxRows),
      queryRows(op.getQ(), cast<RankedTensorType>(op.getKeys().getType()).getDimSize(2)) {
  auto keyShape = cast<RankedTensorType>(op.getKeys().getType()).getShape();
  keyHeads = keyShape[0];
  headDim = keyShape[2];
  valueDim = cast<RankedTensorType>(op.getValues().getType()).getDimSize(2);
  group = cast<RankedTensorType>(op.getQ().getType()).getDimSize(1) / (keyHeads * headDim);
  // Tiles are rectangles of heads × tokens: as many heads of a group as divide it, then tokens.
  int64_t heads = std::min(group, maxRows);
  while (group % heads)
    --heads;
  fullTile = {std::max<int64_t>(1, maxRows / heads), heads};
}

LogicalResult AttentionEmitter::emit() {
  if (CodedCache::isCoded(op.getKeys())) {
    FailureOr<CodedCache> k = CodedCache::create(b, op, op.getKeys());
    FailureOr<CodedCache> v = failed(k) ? k : CodedCache::create(b, op, op.getValues());
    if (failed(v))
      return failure();
    codedKeys = *k;
    codedValues = *v;
    panelGroups = std::max<int64_t>(1, panelFeatures / codedKeys->paddedFeatures());
  } else {
    keys = groupKeys(b, op.getKeys());
  }
  Choices choices(op);
  choices.multipliesBy("f32");
  choices.because("f32 products with keys and values, decoded once for a tile of " + Twine(fullTile.tokens) +
                  " tokens and " + Twine(fullTile.heads) + " heads that share them");
  lastGroup = b.subIndex(b.size(codedKeys ? codedKeys->blocks() : keys, 1), b.index(1));

  b.setInsertionPointToStart(&op->getParentOfType<func::FuncOp>().front());
  queries = makeScratch(fullTile.rows(), headDim);
  weights = makeScratch(fullTile.rows(), blockSize);
  sums = makeScratch(fullTile.rows(), valueDim);
  if (codedKeys) {
    keyPanel = makeScratch(panelGroups * codedKeys->paddedFeatures(), nn::keyGroup);
    valuePanel = makeScratch(nn::keyGroup, codedValues->paddedFeatures());
  }

  b.setInsertionPoint(op);
  Value tokens = queryRows.tokens(b);
  Destination destination(b, op.getY(), tokens);
  AffineExpr s = b.getAffineSymbolExpr(0);
  OpFoldResult tiles = affine::makeComposedFoldedAffineApply(b, b.getLoc(), s.ceilDiv(fullTile.tokens), {tokens});
  SmallVector<OpFoldResult> counts{b.getIndexAttr(keyHeads), b.getIndexAttr(group / fullTile.heads), tiles};
  auto loop = scf::ForallOp::create(b, counts, ValueRange{destination.tensor()}, std::nullopt);

  b.setInsertionPointToStart(loop.getBody());
  Value keyHead = loop.getInductionVar(0), token = b.mulIndex(loop.getInductionVar(2), fullTile.tokens);
  Value head = b.addIndex(b.mulIndex(keyHead, group), b.mulIndex(loop.getInductionVar(1), fullTile.heads));
  OpFoldResult count = b.getIndexAttr(1);
  if (fullTile.tokens > 1)
    count = b.minIndex(b.index(fullTile.tokens), b.subIndex(tokens, token));
  SmallVector<OpFoldResult> offsets{token, b.mulIndex(head, valueDim)};
  SmallVector<OpFoldResult> sizes{count, b.getIndexAttr(fullTile.heads * valueDim)};
  SmallVector<OpFoldResult> strides(2, b.getIndexAttr(1));
  Value shared = loop.getRegionIterArgs()[0];
  Value out = tensor::ExtractSliceOp::create(b, shared, offsets, sizes, strides);

  if (fullTile.tokens == 1) {
    out = emitTile(fullTile, {token, keyHead, head}, out, b.index(0));
  } else {
    Value tokensHere = cast<Value>(count);
    Value full = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, tokensHere, b.index(fullTile.tokens));
    auto either = scf::IfOp::create(b, out.getType(), full, /*withElseRegion=*/true);
    b.setInsertionPointToStart(either.thenBlock());
    scf::YieldOp::create(b, emitTile(fullTile, {token, keyHead, head}, out, b.index(0)));
    b.setInsertionPointToStart(either.elseBlock());
    scf::YieldOp::create(b, b.loop(b.index(0), tokensHere, b.index(1), out, [&](Value i, ValueRange carried) -> Values {
      return {emitTile({1, fullTile.heads}, {b.addIndex(token, i), keyHead, head}, carried[0], i)};
    }));
    b.setInsertionPointAfter(either);
    out = either.getResult(0);
  }
  insertTile(b, loop, out, shared, offsets, sizes);
  destination.replace(loop.getResult(0));
  eraseUnused(queryRows.fused());
  return success();
}

Value AttentionEmitter::emitTile(RowTile tile, Place place, Value out, Value outRow) {
  int64_t rows = tile.rows();
  for (int64_t row = 0; row < rows; ++row) {
    if (row % tile.heads == 0)
      queryRows.enterToken(b, b.addIndex(place.token, row / tile.heads));
    Value query = queryRows.emit(b, b.addIndex(place.head, row % tile.heads));
    scratchStore(b.mul(query, b.splat(op.getScale().convertToFloat(), headDim)), queries, row, b.index(0));
    scratchStore(b.splat(0, valueDim), sums, row, b.index(0));
  }

  Value first = b.addIndex(op.getPast(), place.token); // position of the first token
  Value end = b.addIndex(first, tile.tokens);          // one past the position of the last
  Value begin = b.index(0);
  if (op.getWindow()) {
    Value visible = b.maxIndex(b.index(0), b.subIndex(first, b.index(*op.getWindow() - 1)));
    begin = b.mulIndex(b.divIndex(visible, blockSize), blockSize);
  }
  Values running(rows + 1, b.splat(0, sumLanes));
  running[0] = b.splat(lowest, rows);
  running = b.loop(begin, end, b.index(blockSize), running, [&](Value base, ValueRange carried) -> Values {
    Running next = emitBlock(tile, place, base, end, {carried[0], Values(carried.drop_front())});
    Values all{next.maximum};
    all.append(next.sums);
    return all;
  });

  for (int64_t row = 0; row < rows; ++row) {
    Value factor = b.broadcast(b.div(b.f32(1), b.sumOf(running[row + 1])), valueDim);
    Value values = b.mul(scratchLoad(sums, row, b.index(0), valueDim), factor);
    out = b.store(values, out, {b.addIndex(outRow, row / tile.heads), b.index(row % tile.heads * valueDim)});
  }
  return out;
}

AttentionEmitter::Running AttentionEmitter::emitBlock(RowTile tile, Place place, Value base, Value end,
                                                      Running running) {
  int64_t rows = tile.rows();
  Value count = b.minIndex(b.index(blockSize), b.subIndex(end, base));
  Values blockMaximum;
  for (Value lanes : emitScores(tile, place, base, count))
    blockMaximum.push_back(b.maxOf(lanes));
  Value newest = vector::FromElementsOp::create(b, b.vectorType(rows), blockMaximum);
  Value maximum = b.max(newest, running.maximum);
  Value factors = math::ExpOp::create(b, b.sub(running.maximum, maximum));

  for (auto [row, sum] : llvm::enumerate(running.sums))
    sum = b.mul(sum, b.broadcast(lane(factors, row), sumLanes));
  Values newSums = emitWeights(tile, maximum, running.sums, count);
  emitValues(tile, place, base, count, factors);
  return {maximum, newSums};
}

/// Leaves the scores of the block in `weights`; returns the maximum of each row, lane by lane.
AttentionEmitter::Values AttentionEmitter::emitScores(RowTile tile, Place place, Value base, Value count) {
  int64_t rows = tile.rows();
  // Groups of keys at once: independent sums hide the latency of a multiply-add, as many as the registers hold.
  int64_t groups = llvm::bit_floor<uint64_t>(std::min(maxRows / rows, blockSize / sumLanes));
  if (codedKeys)
    groups = std::min<int64_t>(groups, llvm::bit_floor<uint64_t>(panelGroups));
  Value firstGroup = b.divIndex(base, nn::keyGroup);
  Value firstPosition = b.subIndex(b.addIndex(op.getPast(), place.token), base);
  Values lowestLanes(rows, b.splat(lowest, sumLanes));
  auto step = [&](Value key, ValueRange carried) {
    Value group = b.addIndex(firstGroup, b.divIndex(key, nn::keyGroup));
    Values dots = emitDots(tile, place, group, groups), maxima(carried);
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t g = 0; g < groups; ++g) {
        Value column = b.addIndex(key, g * sumLanes);
        Value score = finishScore(dots[row * groups + g], b.addIndex(firstPosition, row / tile.heads), column);
        scratchStore(score, weights, row, column);
        maxima[row] = b.max(score, maxima[row]);
      }
    return maxima;
  };
  return b.loop(b.index(0), count, b.index(groups * sumLanes), lowestLanes, step);
}

/// The products of each row with `groups` groups of 16 keys.
AttentionEmitter::Values AttentionEmitter::emitDots(RowTile tile, Place place, Value firstGroup, int64_t groups) {
  // Groups beyond the cache would be read only to be masked: they read the last one instead.
  Values keyGroups;
  for (int64_t g = 0; g < groups; ++g)
    keyGroups.push_back(b.minIndex(b.addIndex(firstGroup, g), lastGroup));
  const int64_t panelRows = codedKeys ? codedKeys->paddedFeatures() : 0; // of a group
  for (auto [g, keyGroup] : llvm::enumerate(keyGroups))
    if (codedKeys)
      codedKeys->decode(b, place.keyHead, keyGroup, keyPanel, g * panelRows);
  auto step = [&](Value feature, ValueRange carried) {
    Values loaded, next;
    for (auto [g, keyGroup] : llvm::enumerate(keyGroups))
      loaded.push_back(codedKeys ? vector::LoadOp::create(b, b.vectorType(sumLanes), keyPanel,
                                                          ValueRange{b.addIndex(feature, g * panelRows), b.index(0)})
                                       .getResult()
                                 : b.load(keys, {place.keyHead, keyGroup, feature, b.index(0)}, sumLanes));
    for (int64_t row = 0; row < tile.rows(); ++row) {
      Value query = scratchBroadcast(queries, row, feature, sumLanes);
      for (int64_t g = 0; g < groups; ++g)
        next.push_back(b.fma(query, loaded[g], carried[row * groups + g]));
    }
    return next;
  };
  Values zeros(tile.rows() * groups, b.splat(0, sumLanes));
  return b.loop(b.index(0), b.index(headDim), b.index(1), zeros, step);
}

Value AttentionEmitter::finishScore(Value score, Value position, Value key) {
  if (op.getSoftcap()) {
    double cap = op.getSoftcap()->convertToFloat();
    score = b.mul(math::TanhOp::create(b, b.div(score, b.splat(cap, sumLanes))), b.splat(cap, sumLanes));
  }
  // The row at `position` of the block sees key number `key` + lane if that does not lie behind it.
  auto type = VectorType::get(sumLanes, b.getI32Type());
  Value number =
      arith::ConstantOp::create(b, DenseIntElementsAttr::get(type, llvm::to_vector(llvm::seq<int32_t>(0, sumLanes))));
  Value distance = arith::IndexCastOp::create(b, b.getI32Type(), b.subIndex(position, key));
  Value behind = vector::BroadcastOp::create(b, type, distance);
  Value visible = arith::CmpIOp::create(b, arith::CmpIPredicate::sle, number, behind);
  if (op.getWindow()) {
    Value window = arith::ConstantOp::create(
        b, DenseIntElementsAttr::get(type, static_cast<int32_t>(std::min<int64_t>(*op.getWindow(), INT32_MAX))));
    Value recent =
        arith::CmpIOp::create(b, arith::CmpIPredicate::slt, arith::SubIOp::create(b, behind, number), window);
    visible = arith::AndIOp::create(b, visible, recent);
  }
  return arith::SelectOp::create(b, visible, score, b.splat(-std::numeric_limits<float>::infinity(), sumLanes));
}

/// Turns the scores of the block into weights, in place, and adds them to `sums`.
AttentionEmitter::Values AttentionEmitter::emitWeights(RowTile tile, Value maximum, Values sums, Value count) {
  return b.loop(b.index(0), count, b.index(sumLanes), sums, [&](Value key, ValueRange carried) -> Values {
    Values next;
    for (int64_t row = 0; row < tile.rows(); ++row) {
      Value score = scratchLoad(weights, row, key, sumLanes);
      Value weight = math::ExpOp::create(b, b.sub(score, b.broadcast(lane(maximum, row), sumLanes)));
      scratchStore(weight, weights, row, key);
      next.push_back(b.add(carried[row], weight));
    }
    return next;
  });
}

/// sums = sums · factors + weights · V.
void AttentionEmitter::emitValues(RowTile tile, Place place, Value base, Value count, Value factors) {
  if (codedValues)
    return emitCodedValues(tile, place, base, count, factors);
  addValues(tile, b.index(0), count, factors, [&](Value key, int64_t column, int64_t width) {
    return b.load(op.getValues(), {place.keyHead, b.addIndex(base, key), b.index(column)}, width);
  });
}

/// The same from a cache in a format, 16 positions after the other.
void AttentionEmitter::emitCodedValues(RowTile tile, Place place, Value base, Value count, Value factors) {
  for (int64_t row = 0; row < tile.rows(); ++row)
    scratchStore(b.mul(scratchLoad(sums, row, b.index(0), valueDim), b.broadcast(lane(factors, row), valueDim)), sums,
                 row, b.index(0));
  b.loop(b.index(0), count, b.index(nn::keyGroup), {}, [&](Value first, ValueRange) -> Values {
    codedValues->decodeTransposed(b, place.keyHead, b.divIndex(b.addIndex(base, first), nn::keyGroup), valuePanel);
    Value end = b.minIndex(count, b.addIndex(first, nn::keyGroup));
    addValues(tile, first, end, Value(), [&](Value key, int64_t column, int64_t width) {
      return vector::LoadOp::create(b, b.vectorType(width), valuePanel,
                                    ValueRange{b.subIndex(key, first), b.index(column)})
          .getResult();
    });
    return {};
  });
}

/// sums = sums · factors + weights · V of the keys [first, end) of a block, some columns at a time: as many as the
/// registers hold for all rows. No factors: 1. `load` gives columns of the value of a key: (key, column, width).
void AttentionEmitter::addValues(RowTile tile, Value first, Value end, Value factors,
                                 function_ref<Value(Value, int64_t, int64_t)> load) {
  int64_t rows = tile.rows();
  int64_t limit = sumLanes * (maxRows / rows);
  for (int64_t column = 0; column < valueDim; column += limit) {
    int64_t width = std::min(limit, valueDim - column);
    Values partial;
    for (int64_t row = 0; row < rows; ++row) {
      partial.push_back(scratchLoad(sums, row, b.index(column), width));
      if (factors)
        partial.back() = b.mul(partial.back(), b.broadcast(lane(factors, row), width));
    }
    auto step = [&](Value key, ValueRange carried) {
      Value value = load(key, column, width);
      Values next;
      for (int64_t row = 0; row < rows; ++row)
        next.push_back(b.fma(scratchBroadcast(weights, row, key, width), value, carried[row]));
      return next;
    };
    partial = b.loop(first, end, b.index(1), partial, step);
    for (int64_t row = 0; row < rows; ++row)
      scratchStore(partial[row], sums, row, b.index(column));
  }
}

struct LowerAttention : quantc::impl::NNLowerAttentionBase<LowerAttention> {
  using NNLowerAttentionBase::NNLowerAttentionBase;
  void runOnOperation() override {
    if (failed(checkLayers(getOperation())))
      return signalPassFailure();
    int64_t maxRows = rows;
    if (!maxRows) {
      qf::TargetAttr target = qf::TargetAttr::of(getOperation());
      maxRows = target ? target.getTiles()[2] : 8;
    }
    if (maxRows > 64) {
      getOperation().emitError() << "attention takes at most 64 rows, found " << maxRows;
      return signalPassFailure();
    }
    SmallVector<nn::AttentionOp> ops(getOperation().getOps<nn::AttentionOp>());
    for (nn::AttentionOp op : ops)
      if (failed(AttentionEmitter(op, maxRows).emit()))
        return signalPassFailure();
  }
};

} // namespace
