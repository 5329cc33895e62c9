//===- RowWriter.h - one row of a block of kernel storage -------------------------------------------------------===//
#pragma once

#include "EncodeClause.h"
#include "quantc/Format/KernelStorage.h"
#include "llvm/ADT/MapVector.h"

namespace quantc {

/// Writes the cells of one row, whose number is known at run time only. All bits of the row are written; those of the
/// other rows stay, so nobody else may write the same block meanwhile.
class RowWriter : public CellStore {
public:
  RowWriter(LaneBuilder &b, const KernelStorage &storage, mlir::Value block, mlir::Value row);
  /// Fields that `value` does not read are dropped.
  Status store(const Field &field, const Cells &cells) override;
  /// Writes what lies in lines of quads, once all fields are stored.
  void finish();

private:
  using Value = mlir::Value;
  Value bitsOf(const Field &field, Value value);
  Value plane(const StoragePlane &plane, Value bits);
  void addQuads(const StorageItem &item, const StoragePlane &plane, Value bits, int64_t cell);
  void storeRow(const StorageItem &item, const StoragePlane &plane, Value bits, int64_t cell);
  /// A number like `v`, a vector or a scalar of its type.
  Value like(Value v, int64_t number);

  LaneBuilder &b;
  const KernelStorage &storage;
  Value block, row;                       // row: i64
  llvm::MapVector<unsigned, Value> words; // the row's dword of each line of quads
};

} // namespace quantc
