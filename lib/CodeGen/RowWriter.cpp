//===- RowWriter.cpp - one row of a block of kernel storage -----------------------------------------------------===//

#include "RowWriter.h"

using namespace mlir;
using namespace quantc;

RowWriter::RowWriter(LaneBuilder &b, const KernelStorage &storage, Value block, Value row)
    : b(b), storage(storage), block(block), row(arith::IndexCastOp::create(b, b.getI64Type(), row)) {}

Value RowWriter::like(Value v, int64_t number) {
  if (auto vector = dyn_cast<VectorType>(v.getType()))
    return b.splat(vector, number);
  return arith::ConstantIntOp::create(b, v.getType(), number);
}

/// The bits of a number as the field holds them: i32, or a vector of i32; above the field's width they may be anything.
Value RowWriter::bitsOf(const Field &field, Value value) {
  auto vector = dyn_cast<VectorType>(value.getType());
  auto shaped = [&](Type element) { return vector ? Type(b.vectorOf(element)) : element; };
  if (isInteger(field.kind))
    return value;
  if (field.kind == FieldKind::F32)
    return arith::BitcastOp::create(b, shaped(b.getI32Type()), value);
  Type half = field.kind == FieldKind::F16 ? Type(b.getF16Type()) : b.getBF16Type();
  Value narrow = arith::TruncFOp::create(b, shaped(half), value);
  Value bits = arith::BitcastOp::create(b, shaped(b.getI16Type()), narrow);
  return arith::ExtUIOp::create(b, shaped(b.getI32Type()), bits);
}

/// The bits of a plane, from bit 0 on.
Value RowWriter::plane(const StoragePlane &plane, Value bits) {
  if (plane.low)
    bits = arith::ShRUIOp::create(b, bits, like(bits, plane.low));
  return plane.width == 32 ? bits : arith::AndIOp::create(b, bits, like(bits, (int64_t(1) << plane.width) - 1));
}

/// Cells [cell, cell + 16), or one, into the dwords of the row.
void RowWriter::addQuads(const StorageItem &item, const StoragePlane &plane, Value bits, int64_t cell) {
  auto add = [&](int64_t quad, unsigned shift, Value word) {
    const StorageSlot slot = storage.locate(item, plane, quad);
    if (slot.shift + shift)
      word = arith::ShLIOp::create(b, word, like(word, slot.shift + shift));
    Value &all = words[slot.offset];
    all = all ? arith::OrIOp::create(b, all, word).getResult() : word;
  };
  if (!isa<VectorType>(bits.getType()))
    return add(cell / 4, 8 * (cell % 4), bits);
  Value bytes = arith::TruncIOp::create(b, b.vectorOf(b.getI8Type()), bits);
  Value quads = vector::BitCastOp::create(b, VectorType::get({b.lanes / 4}, b.getI32Type()), bytes);
  for (int64_t i = 0; i < b.lanes / 4; i++)
    add(cell / 4 + i, 0, vector::ExtractOp::create(b, quads, i));
}

/// One cell into the numbers of its plane.
void RowWriter::storeRow(const StorageItem &item, const StoragePlane &plane, Value bits, int64_t cell) {
  Value vector = b.at(block, storage.locate(item, plane, cell).offset);
  if (plane.width >= 8) {
    Value number = plane.width == 32 ? bits : arith::TruncIOp::create(b, b.getIntegerType(plane.width), bits);
    return b.store(number, b.at(vector, row, plane.width / 8));
  }
  // Rows share bytes: row r lies in byte r mod count.
  const int64_t count = storage.rows() * plane.width / 8;
  Type byte = b.getI8Type();
  Value address = b.at(vector, arith::RemUIOp::create(b, row, b.i64(count)), 1);
  Value shift = arith::MulIOp::create(b, arith::DivUIOp::create(b, row, b.i64(count)), b.i64(plane.width));
  shift = arith::TruncIOp::create(b, byte, shift);
  auto constant = [&](int64_t v) { return arith::ConstantIntOp::create(b, byte, v); };
  Value mask = arith::ShLIOp::create(b, constant((1 << plane.width) - 1), shift);
  Value others = arith::AndIOp::create(b, b.load(byte, address), arith::XOrIOp::create(b, mask, constant(-1)));
  Value own = arith::ShLIOp::create(b, arith::TruncIOp::create(b, byte, bits), shift);
  b.store(arith::OrIOp::create(b, others, own), address);
}

Status RowWriter::store(const Field &field, const Cells &cells) {
  const StorageItem *item = storage.find(field.name);
  if (!item)
    return {};
  if (item->factor || item->run != cells.run || !field.array.empty() || (!isInteger(field.kind) && field.width < 16))
    return fail("field '{}' of '{}' cannot be stored at run time", field.name, storage.source()->spec());
  for (auto [i, value] : llvm::enumerate(cells.values)) {
    const bool isVector = isa<VectorType>(value.getType());
    const int64_t cell = static_cast<int64_t>(i) * (isVector ? b.lanes : 1);
    Value all = bitsOf(field, value);
    for (const StoragePlane &p : item->planes) {
      Value bits = plane(p, all);
      if (item->order == CellOrder::Quads)
        addQuads(*item, p, bits, cell);
      else if (!isVector)
        storeRow(*item, p, bits, cell);
      else
        for (int64_t lane = 0; lane < b.lanes; lane++)
          storeRow(*item, p, vector::ExtractOp::create(b, bits, lane), cell + lane);
    }
  }
  return {};
}

void RowWriter::finish() {
  for (auto [offset, word] : words)
    b.store(word, b.at(b.at(block, offset), row, 4));
}
