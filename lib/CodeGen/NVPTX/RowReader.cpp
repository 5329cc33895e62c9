//===- RowReader.cpp - fields of one row of a block of kernel storage ---------------------------------------------===//

#include "RowReader.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace quantc;

unsigned RowReader::alignmentOf(unsigned offset, unsigned bytes) const {
  return static_cast<unsigned>(llvm::MinAlign(llvm::MinAlign(offset, storage.bytes()), bytes));
}

/// The dword of the row.
Value RowReader::lineAt(unsigned offset) {
  return b.load(b.bytes, b.at(b.at(address, offset), row, 4), alignmentOf(offset, 4));
}

Value RowReader::loadRows(const StoragePlane &plane, StorageSlot slot) {
  Value vector = b.at(address, slot.offset);
  Type number = b.getIntegerType(std::max(plane.width, 8u));
  auto wide = [&](Value bits) {
    return b.broadcast(b.i32s, plane.width == 32 ? bits : arith::ExtUIOp::create(b, b.getI32Type(), bits).getResult());
  };
  if (plane.width >= 8) {
    const unsigned bytes = plane.width / 8;
    return wide(b.load(number, b.at(vector, row, bytes), alignmentOf(slot.offset, bytes)));
  }
  // Rows share bytes: row r lies in byte r mod count.
  const int64_t count = storage.rows() * plane.width / 8;
  Value shared = wide(b.load(number, b.at(vector, arith::RemUIOp::create(b, row, b.i64(count)), 1)));
  Value shift = arith::MulIOp::create(b, arith::DivUIOp::create(b, row, b.i64(count)), b.i64(plane.width));
  shift = b.broadcast(b.i32s, arith::TruncIOp::create(b, b.getI32Type(), shift));
  return b.bitAnd(arith::ShRUIOp::create(b, shared, shift), b.splat(b.i32s, (1 << plane.width) - 1));
}
