//===- FragmentReader.cpp - fields of the weights that a lane of a warp has ---------------------------------------===//

#include "FragmentReader.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace quantc;

LaneIds LaneIds::create(ImplicitLocOpBuilder &b) {
  auto index = [&](int64_t i) -> Value { return arith::ConstantIndexOp::create(b, i); };
  LaneIds ids;
  ids.lane = arith::RemUIOp::create(b, gpu::ThreadIdOp::create(b, gpu::Dimension::x), index(warpSize));
  ids.group = arith::DivUIOp::create(b, ids.lane, index(4));
  ids.quad = arith::RemUIOp::create(b, ids.lane, index(4));
  return ids;
}

//===- Words ---------------------------------------------------------------------------------------------------===//

Value FragmentReader::index(int64_t i) {
  return arith::ConstantIndexOp::create(b, i);
}
Value FragmentReader::integer(int64_t i) {
  return arith::ConstantOp::create(b, b.getI32IntegerAttr(static_cast<int32_t>(i)));
}

/// Bits [shift, shift + width) of an i32.
Value FragmentReader::extracted(Value word, unsigned shift, unsigned width) {
  if (shift)
    word = arith::ShRUIOp::create(b, word, integer(shift));
  return shift + width == 32 ? word : arith::AndIOp::create(b, word, integer((int64_t(1) << width) - 1)).getResult();
}

/// `count` words of a unit from `first` on.
Value FragmentReader::load(size_t plane, int64_t unit, Value first, int64_t count) {
  Value planeMemory = memory[plane];
  Type word = cast<MemRefType>(planeMemory.getType()).getElementType();
  auto load = vector::LoadOp::create(b, VectorType::get({count}, word), planeMemory,
                                     ValueRange{index(rowTile), index(unit), first});
  // Without the attribute a load is split into words.
  const int64_t bytes = count * word.getIntOrFloatBitWidth() / 8;
  load->setAttr("alignment", b.getI64IntegerAttr(bytes & -bytes));
  return load;
}

bool FragmentReader::isInLanes(const StorageItem &item) const {
  return llvm::any_of(storage.planes(),
                      [&](const FragmentPlane &plane) { return plane.item == &item && plane.inLanes; });
}

std::pair<Value, unsigned> FragmentReader::pair(size_t p, unsigned step, unsigned slot) {
  const FragmentPlane &plane = storage.planes()[p];
  const unsigned unitSteps = plane.columns / FragmentStorage::stepColumns;
  const FragmentSlot at = FragmentStorage::slotOfPair(plane, step % unitSteps, slot);
  const unsigned chunk = at.word / plane.perLoad, unit = step / unitSteps;
  Value &words = loaded[{p, static_cast<int64_t>(unit) * plane.words + chunk}];
  if (!words) {
    Value first = arith::MulIOp::create(b, ids.lane, index(plane.perLoad));
    first = arith::AddIOp::create(b, first, index(static_cast<int64_t>(chunk) * plane.perLoad * warpSize));
    words = load(p, unit, first, plane.perLoad);
  }
  return {vector::ExtractOp::create(b, words, static_cast<int64_t>(at.word % plane.perLoad)), at.shift};
}

std::pair<Value, Value> FragmentReader::weights(const StorageItem &item, unsigned step, unsigned slot) {
  Value first, second;
  auto add = [&](Value &sum, Value part, unsigned low) {
    if (low)
      part = arith::ShLIOp::create(b, part, integer(low));
    sum = sum ? arith::OrIOp::create(b, sum, part).getResult() : part;
  };
  for (auto [p, plane] : llvm::enumerate(storage.planes())) {
    if (plane.item != &item)
      continue;
    auto [word, shift] = pair(p, step, slot);
    add(first, extracted(word, shift, plane.width), plane.low);
    if (plane.width == 32) { // the second has a word of its own, in the same load
      Value words = cast<vector::ExtractOp>(word.getDefiningOp()).getSource();
      const unsigned next = FragmentStorage::slotOfPair(plane, step % 4, slot).word + 1;
      add(second, vector::ExtractOp::create(b, words, static_cast<int64_t>(next % plane.perLoad)), plane.low);
    } else {
      add(second, extracted(word, shift + 16, plane.width), plane.low);
    }
  }
  return {first, second};
}

Value FragmentReader::cell(const StorageItem &item, unsigned half, unsigned cell, Value moved) {
  Value value;
  for (auto [p, plane] : llvm::enumerate(storage.planes())) {
    if (plane.item != &item)
      continue;
    const int64_t unit = cell / plane.cells, bit = (2 * (cell % plane.cells) + half) * plane.width;
    Value base = arith::MulIOp::create(b, ids.group, index(plane.perLoad)), part;
    Type wordType = b.getIntegerType(plane.wordBits);
    auto widened = [&](Value word) -> Value {
      return plane.wordBits == 32 ? word : arith::ExtUIOp::create(b, b.getI32Type(), word).getResult();
    };
    if (!moved) {
      Value &words = loaded[{p, unit * plane.words}];
      if (!words)
        words = load(p, unit, base, plane.perLoad);
      Value word = vector::ExtractOp::create(b, words, bit / plane.wordBits);
      part = extracted(widened(word), bit % plane.wordBits, plane.width);
    } else {
      Value at = arith::MulIOp::create(b, moved, index(2 * plane.width));
      at = arith::AddIOp::create(b, at, index(bit));
      Value word = arith::AddIOp::create(b, base, arith::DivUIOp::create(b, at, index(plane.wordBits)));
      word = memref::LoadOp::create(b, wordType, memory[p], ValueRange{index(rowTile), index(unit), word});
      Value shift = arith::RemUIOp::create(b, at, index(plane.wordBits));
      part = arith::ShRUIOp::create(b, widened(word), arith::IndexCastOp::create(b, b.getI32Type(), shift));
      part = extracted(part, 0, plane.width);
    }
    if (plane.low)
      part = arith::ShLIOp::create(b, part, integer(plane.low));
    value = value ? arith::OrIOp::create(b, value, part).getResult() : part;
  }
  return value;
}

//===- Vectors -------------------------------------------------------------------------------------------------===//
//
// Lane e of a vector of 8: pair e / 2, its first or second weight. Pair s: row g + 8 (s % 2), columns 8 (s / 2) + 2q.

/// The column of a lane within its step: i32.
Value StepReader::columnOf(unsigned lane) {
  Value twice = arith::MulIOp::create(b, reader.laneIds().quad, arith::ConstantIndexOp::create(b, 2));
  Value column = arith::AddIOp::create(b, twice, arith::ConstantIndexOp::create(b, lane / 4 * 8 + lane % 2));
  return column;
}

Value StepReader::columns(unsigned column) {
  SmallVector<Value> lanes;
  for (unsigned lane = 0; lane < 8; lane++) {
    Value at = arith::AddIOp::create(b, columnOf(lane), arith::ConstantIndexOp::create(b, column));
    lanes.push_back(arith::IndexCastOp::create(b, b.getI32Type(), at));
  }
  return vector::FromElementsOp::create(b, b.i32s, lanes);
}

Value StepReader::lanes(const StorageItem &item, unsigned cell) {
  SmallVector<Value> bits;
  if (reader.isInLanes(item)) {
    for (unsigned slot = 0; slot < 4; slot++) {
      auto [first, second] = reader.weights(item, cell / FragmentStorage::stepColumns, slot);
      bits.append({first, second});
    }
    return vector::FromElementsOp::create(b, b.i32s, bits);
  }
  const auto array = static_cast<unsigned>(item.field->arraySize());
  for (unsigned lane = 0; lane < 8; lane++) {
    const unsigned half = lane / 2 % 2;
    if (item.run % 8 == 0) { // lanes of a step have one cell, or one for each 8 columns
      bits.push_back(lane % 2 ? bits.back() : reader.cell(item, half, cell + (item.run == 8 ? lane / 4 * array : 0)));
      continue;
    }
    Value moved = arith::DivUIOp::create(b, columnOf(lane), arith::ConstantIndexOp::create(b, item.run));
    moved = arith::MulIOp::create(b, moved, arith::ConstantIndexOp::create(b, array));
    bits.push_back(reader.cell(item, half, cell, moved));
  }
  return vector::FromElementsOp::create(b, b.i32s, bits);
}

Value StepReader::elements(const StorageItem &item, unsigned cell, Value element) {
  if (item.run % FragmentStorage::stepColumns)
    return {};
  SmallVector<Value> bits;
  for (unsigned lane = 0; lane < 8; lane++) {
    Value moved = arith::IndexCastOp::create(b, b.getIndexType(),
                                             vector::ExtractOp::create(b, element, static_cast<int64_t>(lane)));
    bits.push_back(reader.cell(item, lane / 2 % 2, cell, moved));
  }
  return vector::FromElementsOp::create(b, b.i32s, bits);
}

Value RowsReader::lanes(const StorageItem &item, unsigned cell) {
  return vector::FromElementsOp::create(b, b.i32s, ValueRange{reader.cell(item, 0, cell), reader.cell(item, 1, cell)});
}
