//===- Attention.cpp - nn.attention: a block for the query heads of a token that share keys -----------------------===//
//
// Attention with a running maximum, as on processors (CodeGen/CPU/LowerAttention.cpp). A *row* is one query head; the
// rows of a block read the same keys and values. Positions go by chunks of as many as there are threads: each thread
// makes the scores of one position, then adds up the values of some features.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "../DeviceMath.h"
#include "HeadRow.h"
#include "Layers.h"
#include <limits>

using namespace mlir;
using namespace quantc;

namespace {

/// Rows of a block: each costs registers for its maximum, its sum and its values.
constexpr int64_t mostRows = 8;
/// Less than any score, yet finite, so that it can be subtracted from itself.
constexpr double lowest = -1e30;

class Emitter {
public:
  Emitter(nn::AttentionOp op, gpu::GPUModuleOp module);
  void emit();

private:
  using Values = LayerBuilder::Values;
  using Combine = LayerBuilder::Combine;

  Values scores(Value position, Value key);
  Values addChunk(Value base, ValueRange carried);
  Values addValues(Value base, Value count, ValueRange sums);

  nn::AttentionOp op;
  int64_t keyHeads, headDim, valueDim, rows, groupBlocks; ///< blocks that share a key head
  LayerBuilder b;
  int64_t slots; ///< features of a thread
  Value token, keyHead, head, position;
  Value queries, weights; ///< shared: rows of a head each, rows of a chunk each
};

int64_t rowsOf(int64_t group) {
  int64_t rows = std::min(group, mostRows);
  while (group % rows)
    --rows;
  return rows;
}

int64_t sizeOf(Value v, unsigned dimension) {
  return cast<RankedTensorType>(v.getType()).getDimSize(dimension);
}

} // namespace

Emitter::Emitter(nn::AttentionOp op, gpu::GPUModuleOp module)
    : op(op), keyHeads(sizeOf(op.getKeys(), 0)), headDim(sizeOf(op.getKeys(), 2)), valueDim(sizeOf(op.getValues(), 2)),
      rows(rowsOf(sizeOf(op.getQ(), 1) / (keyHeads * headDim))),
      groupBlocks(sizeOf(op.getQ(), 1) / (keyHeads * headDim * rows)),
      b(op->getParentOfType<func::FuncOp>(), module, threadsFor(std::max(headDim, valueDim), 256)),
      slots(llvm::divideCeil(valueDim, b.threads)) {}

void Emitter::emit() {
  queries = b.shared(rows * headDim);
  weights = b.shared(rows * b.threads);
  token = b.block(gpu::Dimension::y);
  Value tile = b.block(gpu::Dimension::x);
  keyHead = b.div(tile, groupBlocks);
  head = b.mul(tile, rows); // tiles of a key head follow each other, as do those of the next
  position = b.add(b.parameter(op.getPast()), token);
  HeadRow query(op.getQ(), headDim);
  for (int64_t r = 0; r < rows; r++)
    query.emit(b, token, b.add(head, r), queries, r * headDim);

  // Of each row its maximum and the thread's part of the sum of weights, then its values.
  Values carried(rows, b.f32(lowest));
  carried.append(rows + rows * slots, b.f32(0));
  Value begin = b.i64(0), end = b.add(position, 1);
  if (op.getWindow())
    begin = b.max(begin, b.sub(end, b.i64(static_cast<int64_t>(*op.getWindow()))));
  carried = b.loop(begin, end, b.threads, carried, [&](Value base, ValueRange c) { return addChunk(base, c); });

  Values sums = b.overBlock(Combine::Sum, ValueRange(carried).slice(rows, rows));
  Value out = destinationOf(op.getY()), first = b.mul(token, rows * groupBlocks * keyHeads * valueDim);
  for (int64_t s = 0; s < slots; s++) {
    Value feature = b.add(b.thread(), s * b.threads);
    b.when(b.less(feature, b.i64(valueDim)), [&] {
      for (int64_t r = 0; r < rows; r++) {
        Value at = b.add(b.add(first, b.mul(b.add(head, r), valueDim)), feature);
        b.store(b.div(carried[2 * rows + r * slots + s], sums[r]), out, at);
      }
    });
  }
  b.finish({{-1, keyHeads * groupBlocks}, b.perToken()});
}

/// The scores of each row with the key at a position.
Emitter::Values Emitter::scores(Value visible, Value key) {
  // Thread i reads position base + i: 16 neighbours lie side by side.
  Value group = b.add(b.mul(keyHead, b.div(b.context(), nn::keyGroup)), b.div(key, nn::keyGroup));
  Value at = b.add(b.mul(group, headDim * nn::keyGroup), b.rem(key, nn::keyGroup));
  Values dots = b.loop(b.i64(0), b.i64(headDim), 1, Values(rows, b.f32(0)), [&](Value d, ValueRange sums) {
    Value k = b.load(op.getKeys(), b.add(at, b.mul(d, nn::keyGroup)));
    Values next;
    for (int64_t r = 0; r < rows; r++)
      next.push_back(b.fma(b.loadShared(queries, b.add(d, r * headDim)), k, sums[r]));
    return next;
  });
  for (Value &dot : dots) {
    dot = b.mul(dot, b.f32(op.getScale().convertToFloat()));
    if (op.getSoftcap()) {
      Value cap = b.f32(op.getSoftcap()->convertToFloat());
      dot = b.mul(emitTanh(b, b.div(dot, cap)), cap);
    }
    dot = arith::SelectOp::create(b, visible, dot, b.f32(-std::numeric_limits<float>::infinity()));
  }
  return dots;
}

/// The chunk of positions from `base` on, of which at least the first is visible.
Emitter::Values Emitter::addChunk(Value base, ValueRange carried) {
  Value key = b.add(base, b.thread()), end = b.add(position, 1);
  Values dots = scores(b.less(key, end), b.min(key, position)), next, factors;
  Values maxima = b.overBlock(Combine::Maximum, dots);
  for (int64_t r = 0; r < rows; r++) {
    next.push_back(b.max(maxima[r], carried[r]));
    factors.push_back(emitExp(b, b.sub(carried[r], next[r])));
  }
  for (int64_t r = 0; r < rows; r++) {
    Value weight = emitExp(b, b.sub(dots[r], next[r]));
    b.storeShared(weight, weights, b.add(b.thread(), r * b.threads));
    next.push_back(b.add(b.mul(carried[rows + r], factors[r]), weight));
  }
  b.barrier();
  Values sums;
  for (int64_t r = 0; r < rows; r++)
    for (int64_t s = 0; s < slots; s++)
      sums.push_back(b.mul(carried[2 * rows + r * slots + s], factors[r]));
  next.append(addValues(base, b.min(b.i64(b.threads), b.sub(end, base)), sums));
  b.barrier();
  return next;
}

/// Adds the weighted values of `count` positions.
Emitter::Values Emitter::addValues(Value base, Value count, ValueRange sums) {
  Value first = b.add(b.mul(keyHead, b.context()), base);
  return b.loop(b.i64(0), count, 1, sums, [&](Value i, ValueRange carried) {
    Values next(carried);
    Values rowWeights;
    for (int64_t r = 0; r < rows; r++)
      rowWeights.push_back(b.loadShared(weights, b.add(i, r * b.threads)));
    for (int64_t s = 0; s < slots; s++) {
      // A thread without a feature of its own reads another's.
      Value feature = b.min(b.add(b.thread(), s * b.threads), b.i64(valueDim - 1));
      Value value = b.load(op.getValues(), b.add(b.mul(b.add(first, i), valueDim), feature));
      for (int64_t r = 0; r < rows; r++)
        next[r * slots + s] = b.fma(rowWeights[r], value, carried[r * slots + s]);
    }
    return next;
  });
}

LogicalResult quantc::emitAttention(nn::AttentionOp op, gpu::GPUModuleOp module) {
  Emitter(op, module).emit();
  return success();
}
