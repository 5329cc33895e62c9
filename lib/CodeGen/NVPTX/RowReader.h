//===- RowReader.h - fields of one row of a block of kernel storage -----------------------------------------------===//
#pragma once

#include "../BlockReader.h"

namespace quantc {

/// What BlockReader reads, for one row that is known at run time only: vectors have one lane.
class RowReader : public BlockReader {
public:
  /// `row` is an i64.
  RowReader(LaneBuilder &builder, const KernelStorage &storage, mlir::Value block, mlir::Value row)
      : BlockReader(builder, storage, block), row(row) {}

private:
  mlir::Value lineAt(unsigned offset) override;
  mlir::Value loadRows(const StoragePlane &plane, StorageSlot slot) override;
  /// What an address in the block is a multiple of, at most `bytes`.
  unsigned alignmentOf(unsigned offset, unsigned bytes) const;

  mlir::Value row;
};

} // namespace quantc
