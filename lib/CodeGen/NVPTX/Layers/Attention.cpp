//===- Attention.cpp - nn.attention: a block for the query heads of a token that share keys -----------------------===//
//
// Attention with a running maximum, as on processors (CodeGen/CPU/LowerAttention.cpp). A *row* is one query head; the
// rows of a block read the same keys and values. Positions go by chunks of as many as there are threads: each thread
// makes the scores of one position, then adds up the values of some features.
//
// A cache in a format is decoded by threads that have a position each: keys while their scores are made, values to
// shared memory, some positions at a time.
//
// nn.attention_parts has more blocks: for each part of the positions. They leave sums undivided, with what is needed to
// combine them; a block whose part has no positions returns at once.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "../DeviceMath.h"
#include "DeviceCache.h"
#include "HeadRow.h"
#include "Layers.h"
#include "Positions.h"
#include <limits>

using namespace mlir;
using namespace quantc;

namespace {

/// Rows of a block: each costs registers for its maximum, its sum and its values.
constexpr int64_t mostRows = 8;
/// Less than any score, yet finite, so that it can be subtracted from itself.
constexpr double lowest = -1e30;
/// Numbers of values that are decoded at once: 16 KiB of shared memory.
constexpr int64_t decodedValues = 4096;

int64_t sizeOf(Value v, unsigned dimension) {
  return cast<RankedTensorType>(v.getType()).getDimSize(dimension);
}

/// What both operations have.
struct Attention {
  Operation *user;
  Value q, keys, values, past, result;
  float scale;
  std::optional<float> softcap;
  std::optional<int64_t> window;
  int64_t parts = 1;
  int64_t keyHeads, headDim, valueDim, heads;

  template <typename Op>
  explicit Attention(Op op)
      : user(op), q(op.getQ()), keys(op.getKeys()), values(op.getValues()), past(op.getPast()),
        result(op->getResult(0)), scale(op.getScale().convertToFloat()), window(op.getWindow()),
        keyHeads(sizeOf(keys, 0)), headDim(sizeOf(keys, 2)), valueDim(sizeOf(values, 2)),
        heads(sizeOf(q, 1) / headDim) {
    if (op.getSoftcap())
      softcap = op.getSoftcap()->convertToFloat();
  }

  /// Query heads of a block, which share a key head.
  int64_t rows() const {
    const int64_t group = heads / keyHeads;
    int64_t rows = std::min(group, mostRows);
    while (group % rows)
      --rows;
    return rows;
  }
  /// Blocks of a token and part.
  int64_t blocks() const { return heads / rows(); }
};

class Emitter {
public:
  Emitter(const Attention &op, func::FuncOp function, gpu::GPUModuleOp module);
  LogicalResult emit();

private:
  using Values = LayerBuilder::Values;
  using Combine = LayerBuilder::Combine;

  void emitRange(Value part, Value begin, Value end);
  Values scores(Value visible, Value key);
  Values dots(Value key);
  Values codedDots(Value key);
  Values addChunk(Value base, Value end, ValueRange carried);
  Values addValues(Value base, Value count, ValueRange sums);
  Values addCodedValues(Value base, Value count, ValueRange sums);
  Values weigh(Value begin, Value end, ValueRange sums, function_ref<Value(Value i, Value feature)> load);
  void storeResult(ValueRange carried);
  void storePart(Value part, ValueRange carried);
  void forFeatures(function_ref<void(Value feature, int64_t slot)> body);

  const Attention op;
  const int64_t rows;
  LayerBuilder b;
  const int64_t slots; ///< features of a thread
  std::optional<DeviceCache> codedKeys, codedValues;
  int64_t queryPitch;    ///< features of a row of `queries`
  int64_t tilePositions; ///< whose values are decoded at once
  bool isDecoded = true; ///< false: an error was emitted
  Value token, keyHead, head;
  Value first;            ///< position that is seen
  Value queries, weights; ///< shared: rows of a head each, rows of a chunk each
  Value values;           ///< shared: decoded, [position][feature], and one number more a position: other banks
};

} // namespace

Emitter::Emitter(const Attention &op, func::FuncOp function, gpu::GPUModuleOp module)
    : op(op), rows(op.rows()), b(function, module, threadsFor(std::max(op.headDim, op.valueDim), 256)),
      slots(llvm::divideCeil(op.valueDim, b.threads)), queryPitch(op.headDim) {
  if (!DeviceCache::isCoded(op.keys))
    return;
  codedKeys.emplace(op.user, op.keys);
  codedValues.emplace(op.user, op.values);
  queryPitch = codedKeys->paddedFeatures();
  const int64_t groups = std::max<int64_t>(1, decodedValues / (nn::keyGroup * codedValues->paddedFeatures()));
  tilePositions = std::min(groups * nn::keyGroup, b.threads);
  values = b.shared(tilePositions * (codedValues->paddedFeatures() + 1));
}

LogicalResult Emitter::emit() {
  queries = b.shared(rows * queryPitch);
  weights = b.shared(rows * b.threads);
  token = b.block(gpu::Dimension::y);
  Value block = b.block(gpu::Dimension::x), part = b.div(block, op.blocks()), tile = b.rem(block, op.blocks());
  keyHead = b.div(tile, op.heads / op.keyHeads / rows);
  head = b.mul(tile, rows); // tiles of a key head follow each other, as do those of the next
  const Positions seen(b, b.add(b.parameter(op.past), token), op.window);
  first = seen.first;
  if (op.parts == 1) {
    emitRange(part, seen.begin, seen.end);
  } else {
    Value size = seen.ofPart(b, op.parts), begin = b.add(seen.begin, b.mul(part, size));
    b.when(b.less(begin, seen.end), [&] { emitRange(part, begin, b.min(b.add(begin, size), seen.end)); });
  }
  b.finish({{-1, op.parts * op.blocks()}, b.perToken()});
  return success(isDecoded);
}

/// The positions [begin, end), of which at least one is seen.
void Emitter::emitRange(Value part, Value begin, Value end) {
  HeadRow query(op.q, op.headDim);
  for (int64_t r = 0; r < rows; r++)
    query.emit(b, token, b.add(head, r), queries, r * queryPitch, queryPitch);
  // Of each row its maximum and the thread's part of the sum of weights, then its values.
  Values carried(rows, b.f32(lowest));
  carried.append(rows + rows * slots, b.f32(0));
  carried = b.loop(begin, end, b.threads, carried, [&](Value base, ValueRange c) { return addChunk(base, end, c); });
  if (op.parts == 1)
    storeResult(carried);
  else
    storePart(part, carried);
}

/// The products of each row with the key at a position.
Emitter::Values Emitter::dots(Value key) {
  // Thread i reads position base + i: 16 neighbours lie side by side.
  Value group = b.add(b.mul(keyHead, b.div(b.context(), nn::keyGroup)), b.div(key, nn::keyGroup));
  Value at = b.add(b.mul(group, op.headDim * nn::keyGroup), b.rem(key, nn::keyGroup));
  return b.loop(b.i64(0), b.i64(op.headDim), 1, Values(rows, b.f32(0)), [&](Value d, ValueRange sums) {
    Value k = b.load(op.keys, b.add(at, b.mul(d, nn::keyGroup)));
    Values next;
    for (int64_t r = 0; r < rows; r++)
      next.push_back(b.fma(b.loadShared(queries, b.add(d, r * queryPitch)), k, sums[r]));
    return next;
  });
}

/// Behind the features of a head queries are zeros.
Emitter::Values Emitter::codedDots(Value key) {
  return b.loop(b.i64(0), b.i64(codedKeys->blocks()), 1, Values(rows, b.f32(0)), [&](Value part, ValueRange carried) {
    Values sums(carried), numbers = codedKeys->decode(b, keyHead, key, part);
    isDecoded &= !numbers.empty();
    Value from = b.mul(part, codedKeys->columns());
    for (auto [column, number] : llvm::enumerate(numbers))
      for (int64_t r = 0; r < rows; r++) {
        Value query = b.loadShared(queries, b.add(from, r * queryPitch + static_cast<int64_t>(column)));
        sums[r] = b.fma(query, number, sums[r]);
      }
    return sums;
  });
}

/// The scores of each row with the key at a position.
Emitter::Values Emitter::scores(Value visible, Value key) {
  Values scores = codedKeys ? codedDots(key) : dots(key);
  for (Value &score : scores) {
    score = b.mul(score, b.f32(op.scale));
    if (op.softcap) {
      Value cap = b.f32(*op.softcap);
      score = b.mul(emitTanh(b, b.div(score, cap)), cap);
    }
    score = b.select(visible, score, b.f32(-std::numeric_limits<float>::infinity()));
  }
  return scores;
}

/// The chunk of positions from `base` on, up to `end`.
Emitter::Values Emitter::addChunk(Value base, Value end, ValueRange carried) {
  Value key = b.add(base, b.thread()), visible = b.less(key, end);
  if (op.window) // a range begins before the first position that is seen
    visible = b.both(visible, b.less(b.sub(first, b.i64(1)), key));
  Values dots = scores(visible, b.min(key, b.sub(end, b.i64(1)))), next, factors;
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

/// Adds the weighted values of the positions [begin, end) of a chunk.
Emitter::Values Emitter::weigh(Value begin, Value end, ValueRange sums,
                               function_ref<Value(Value i, Value feature)> load) {
  return b.loop(begin, end, 1, sums, [&](Value i, ValueRange carried) {
    Values next(carried);
    Values rowWeights;
    for (int64_t r = 0; r < rows; r++)
      rowWeights.push_back(b.loadShared(weights, b.add(i, r * b.threads)));
    for (int64_t s = 0; s < slots; s++) {
      // A thread without a feature of its own reads another's.
      Value value = load(i, b.min(b.add(b.thread(), s * b.threads), b.i64(op.valueDim - 1)));
      for (int64_t r = 0; r < rows; r++)
        next[r * slots + s] = b.fma(rowWeights[r], value, carried[r * slots + s]);
    }
    return next;
  });
}

/// Adds the weighted values of `count` positions.
Emitter::Values Emitter::addValues(Value base, Value count, ValueRange sums) {
  if (codedValues)
    return addCodedValues(base, count, sums);
  Value at = b.add(b.mul(keyHead, b.context()), base);
  return weigh(b.i64(0), count, sums, [&](Value i, Value feature) {
    return b.load(op.values, b.add(b.mul(b.add(at, i), op.valueDim), feature));
  });
}

/// The same from a cache in a format, a tile of positions after the other.
Emitter::Values Emitter::addCodedValues(Value base, Value count, ValueRange sums) {
  const int64_t pitch = codedValues->paddedFeatures() + 1;
  return b.loop(b.i64(0), count, tilePositions, sums, [&](Value begin, ValueRange carried) {
    // Neighbours have the same features of neighbouring positions. Behind the last position it is read again.
    b.forEach(tilePositions * codedValues->blocks(), [&](Value item) {
      Value i = b.rem(item, tilePositions), part = b.div(item, tilePositions);
      Value position = b.add(base, b.min(b.add(begin, i), b.sub(count, b.i64(1))));
      Values numbers = codedValues->decode(b, keyHead, position, part);
      isDecoded &= !numbers.empty();
      Value to = b.add(b.mul(i, pitch), b.mul(part, codedValues->columns()));
      for (auto [column, number] : llvm::enumerate(numbers))
        b.storeShared(number, values, b.add(to, static_cast<int64_t>(column)));
    });
    b.barrier();
    Value end = b.min(b.add(begin, tilePositions), count);
    Values next = weigh(begin, end, carried, [&](Value i, Value feature) {
      return b.loadShared(values, b.add(b.mul(b.sub(i, begin), pitch), feature));
    });
    b.barrier();
    return next;
  });
}

void Emitter::forFeatures(function_ref<void(Value feature, int64_t slot)> body) {
  for (int64_t s = 0; s < slots; s++) {
    Value feature = b.add(b.thread(), s * b.threads);
    b.when(b.less(feature, b.i64(op.valueDim)), [&] { body(feature, s); });
  }
}

void Emitter::storeResult(ValueRange carried) {
  Values sums = b.overBlock(Combine::Sum, carried.slice(rows, rows));
  Value out = destinationOf(op.result), ofToken = b.mul(token, op.heads * op.valueDim);
  forFeatures([&](Value feature, int64_t s) {
    for (int64_t r = 0; r < rows; r++) {
      Value at = b.add(b.add(ofToken, b.mul(b.add(head, r), op.valueDim)), feature);
      b.store(b.div(carried[2 * rows + r * slots + s], sums[r]), out, at);
    }
  });
}

void Emitter::storePart(Value part, ValueRange carried) {
  Values sums = b.overBlock(Combine::Sum, carried.slice(rows, rows));
  Value out = destinationOf(op.result), ofToken = b.add(b.mul(token, op.parts), part);
  auto placeOf = [&](int64_t row) { return b.mul(b.add(b.mul(ofToken, op.heads), b.add(head, row)), op.valueDim + 2); };
  forFeatures([&](Value feature, int64_t s) {
    for (int64_t r = 0; r < rows; r++)
      b.store(carried[2 * rows + r * slots + s], out, b.add(placeOf(r), feature));
  });
  b.when(b.less(b.thread(), b.i64(1)), [&] {
    for (int64_t r = 0; r < rows; r++) {
      b.store(carried[r], out, b.add(placeOf(r), op.valueDim));
      b.store(sums[r], out, b.add(placeOf(r), op.valueDim + 1));
    }
  });
}

int64_t quantc::attentionBlocks(nn::AttentionOp op) {
  return Attention(op).blocks();
}

LogicalResult quantc::emitAttention(nn::AttentionOp op, gpu::GPUModuleOp module) {
  return Emitter(Attention(op), op->getParentOfType<func::FuncOp>(), module).emit();
}

LogicalResult quantc::emitAttentionParts(nn::AttentionPartsOp op, gpu::GPUModuleOp module) {
  Attention attention(op);
  attention.parts = static_cast<int64_t>(op.getParts());
  return Emitter(attention, op->getParentOfType<func::FuncOp>(), module).emit();
}
