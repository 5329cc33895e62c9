//===- CellReader.h - what an evaluator asks of the storage of a weight -----------------------------------------===//
#pragma once

#include "LaneBuilder.h"
#include "quantc/Format/KernelStorage.h"

namespace quantc {

/// Fields of the weights in the lanes of vectors.
class CellReader {
public:
  virtual ~CellReader() = default;

  /// The bits of a cell of each lane: `i32s`, zero-extended.
  virtual mlir::Value lanes(const StorageItem &item, unsigned cell) = 0;

  /// Bits of the element (`i32s`) of the array that begins at `cell`; null where storage cannot be read like that.
  virtual mlir::Value elements(const StorageItem &item, unsigned cell, mlir::Value element) { return {}; }

  /// The columns of all lanes (`i32s`) where they differ, counted like `column`; null: all lanes are in `column`.
  virtual mlir::Value columns(unsigned column) { return {}; }
};

/// Look-ups in tables of a format.
class TableReader {
public:
  virtual ~TableReader() = default;

  /// Element `index` (`i32s`, in range) of a table for each lane, as bits of 32.
  virtual mlir::Value lanes(LaneBuilder &b, const Table &table, mlir::Value index) const = 0;
};

} // namespace quantc
