//===- BlockReader.cpp - fields of a block of kernel storage as vectors -----------------------------------------===//

#include "BlockReader.h"

using namespace mlir;
using namespace quantc;

void BlockReader::prefetch(unsigned offset) {
  constexpr unsigned line = 64;
  if (ahead && prefetched.insert(offset / line).second)
    LLVM::Prefetch::create(b, b.at(address, ahead + offset / line * line), /*rw=*/0, /*hint=*/3, /*cache=*/1);
}

Value BlockReader::lineAt(unsigned offset) {
  return b.load(b.bytes, b.at(address, offset));
}

Value BlockReader::loadLine(unsigned offset) {
  Value &line = lines[offset];
  if (!line) {
    prefetch(offset);
    line = lineAt(offset);
  }
  return line;
}

/// The bits of a plane, from bit 0 of each byte on.
Value BlockReader::quads(const StoragePlane &plane, StorageSlot slot) {
  return b.bitsOfBytes(loadLine(slot.offset), slot.shift, plane.width);
}

Value BlockReader::quads(const StorageItem &item, unsigned v) {
  Value &value = quadCache[{&item, v}];
  if (value)
    return value;
  Value result;
  for (const StoragePlane &plane : item.planes) {
    Value part = quads(plane, storage.locate(item, plane, v));
    if (plane.low) // the bits above stay within their byte
      part = b.bitcast(b.bytes, b.shl(b.bitcast(b.i32s, part), plane.low));
    result = result ? b.bitOr(result, part) : part;
  }
  return value = result;
}

std::pair<Value, unsigned> BlockReader::quadsInPlace(const StorageItem &item, unsigned v) {
  const StoragePlane &plane = item.planes.front();
  const StorageSlot slot = storage.locate(item, plane, v);
  Value mask = b.splat(b.bytes, static_cast<int8_t>(((1 << plane.width) - 1) << slot.shift));
  return {b.bitAnd(loadLine(slot.offset), mask), slot.shift};
}

/// One number of `width` bits for each row: whole bytes next to each other, or rows spread over the bits of B bytes.
Value BlockReader::loadRows(const StoragePlane &plane, StorageSlot slot) {
  prefetch(slot.offset);
  Value at = b.at(address, slot.offset);
  if (plane.width == 32)
    return b.load(b.i32s, at);
  if (plane.width >= 8)
    return arith::ExtUIOp::create(b, b.i32s, b.load(b.vectorOf(b.getIntegerType(plane.width)), at));
  const int64_t count = b.lanes * plane.width / 8;
  Value packed = b.load(VectorType::get({count}, b.getI8Type()), at), all;
  VectorType rowType = b.vectorOf(b.getI8Type());
  for (int64_t first = 0; first < b.lanes; first += count) {
    Value part = b.shr(packed, plane.width * (first / count));
    if (!all)
      all = arith::ConstantOp::create(b, DenseElementsAttr::get(rowType, b.getI8IntegerAttr(0)));
    all = vector::InsertStridedSliceOp::create(b, part, all, ArrayRef<int64_t>{first}, ArrayRef<int64_t>{1});
  }
  Value wide = arith::ExtUIOp::create(b, b.i32s, all);
  return b.bitAnd(wide, b.splat(b.i32s, (1 << plane.width) - 1));
}

Value BlockReader::lanes(const StorageItem &item, unsigned cell) {
  Value &value = laneCache[{&item, cell}];
  if (value)
    return value;
  Value result;
  if (item.order == CellOrder::Quads && item.field->width <= 8) {
    result = b.byteOfLane(quads(item, cell / 4), cell % 4);
  } else {
    for (const StoragePlane &plane : item.planes) {
      Value part = item.order == CellOrder::Quads
                       ? b.byteOfLane(quads(plane, storage.locate(item, plane, cell / 4)), cell % 4)
                       : loadRows(plane, storage.locate(item, plane, cell));
      part = b.shl(part, plane.low);
      result = result ? b.bitOr(result, part) : part;
    }
  }
  return value = result;
}

Value BlockReader::pairs(const StorageItem &item, unsigned cell) {
  auto at = [&](unsigned c) { return storage.locate(item, item.planes.front(), c).offset; };
  const int64_t rowBytes = 2 * b.lanes;
  if (item.order != CellOrder::Rows || item.planes.front().width != 16 || at(cell + 1) != at(cell) + rowBytes)
    return b.bitOr(lanes(item, cell), b.shl(lanes(item, cell + 1), 16));
  SmallVector<int64_t> interleaved;
  for (int64_t row = 0; row < b.lanes; row++)
    interleaved.append({row, b.lanes + row});
  prefetch(at(cell));
  Value both = b.load(VectorType::get({2 * b.lanes}, b.getI16Type()), b.at(address, at(cell)));
  return b.bitcast(b.i32s, vector::ShuffleOp::create(b, both, both, interleaved).getResult());
}
