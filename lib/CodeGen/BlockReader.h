//===- BlockReader.h - fields of a block of kernel storage as vectors -------------------------------------------===//
#pragma once

#include "CellReader.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"

namespace quantc {

/// Emits loads from one block of kernel storage at `address`. What was read once is not read again. Beside the first
/// load from a line of 64 bytes, what lies `ahead` bytes behind it is prefetched, unless that is 0.
class BlockReader : public CellReader {
public:
  BlockReader(LaneBuilder &builder, const KernelStorage &storage, mlir::Value address, int64_t ahead = 0)
      : b(builder), storage(storage), address(address), ahead(ahead) {}

  /// The bits of a cell of each row: `i32s`, zero-extended.
  mlir::Value lanes(const StorageItem &item, unsigned cell) override;

  /// Cells `cell` and `cell` + 1 of each row, 16 bits each: `i32s`, the first in the low half.
  mlir::Value pairs(const StorageItem &item, unsigned cell);

  /// Cells 4v to 4v + 3 of each row, which lie as bytes (CellOrder::Quads of at most 8 bits): `bytes`, zero-extended.
  mlir::Value quads(const StorageItem &item, unsigned v);

  /// The same bits where they lie in their line, for items of one plane: `bytes`, 2^shift times the cells.
  std::pair<mlir::Value, unsigned> quadsInPlace(const StorageItem &item, unsigned v);

protected:
  /// The dwords of all lanes in a line of quads, as `bytes`.
  virtual mlir::Value lineAt(unsigned offset);
  /// One number of each lane, of a plane in rows: `i32s`.
  virtual mlir::Value loadRows(const StoragePlane &plane, StorageSlot slot);

  LaneBuilder &b;
  const KernelStorage &storage;
  const mlir::Value address;

private:
  void prefetch(unsigned offset);
  mlir::Value loadLine(unsigned offset);
  mlir::Value quads(const StoragePlane &plane, StorageSlot slot);

  int64_t ahead;
  llvm::DenseMap<std::pair<const StorageItem *, unsigned>, mlir::Value> laneCache, quadCache;
  llvm::DenseMap<unsigned, mlir::Value> lines;
  llvm::SmallDenseSet<unsigned> prefetched;
};

} // namespace quantc
