//===- FragmentReader.h - fields of the weights that a lane of a warp has -----------------------------------------===//
#pragma once

#include "../CellReader.h"
#include "Fragments.h"
#include "quantc/Dialect/QF/QFGPU.h"
#include "llvm/ADT/DenseMap.h"

namespace quantc {

/// What a lane knows of itself: lane 4g + q.
struct LaneIds {
  mlir::Value lane, group, quad; ///< index; g and q

  static LaneIds create(mlir::ImplicitLocOpBuilder &b);
};

/// Emits loads from the planes of 16 rows of a tile of `qf.warp_dot`. What was read once is not read again.
class FragmentReader {
public:
  FragmentReader(mlir::ImplicitLocOpBuilder &builder, const FragmentStorage &storage, mlir::ValueRange planes,
                 int64_t rowTile, const LaneIds &ids)
      : b(builder), storage(storage), memory(planes), rowTile(rowTile), ids(ids) {}

  const FragmentStorage &fragments() const { return storage; }
  const LaneIds &laneIds() const { return ids; }

  /// Whether cells of a field lie in the lanes that need them.
  bool isInLanes(const StorageItem &item) const;

  /// The word (i32) that holds pair `slot` of step `step` of a plane, and the lowest bit of the first of the pair.
  std::pair<mlir::Value, unsigned> pair(size_t plane, unsigned step, unsigned slot);
  /// The bits (i32) of both weights of a pair.
  std::pair<mlir::Value, mlir::Value> weights(const StorageItem &item, unsigned step, unsigned slot);
  /// The bits (i32) of a cell of row g + 8 · half, `moved` (index, or null) cells further on.
  mlir::Value cell(const StorageItem &item, unsigned half, unsigned cell, mlir::Value moved = {});

private:
  mlir::Value index(int64_t i);
  mlir::Value integer(int64_t i);
  mlir::Value extracted(mlir::Value word, unsigned shift, unsigned width);
  mlir::Value load(size_t plane, int64_t unit, mlir::Value first, int64_t count);

  mlir::ImplicitLocOpBuilder &b;
  const FragmentStorage &storage;
  mlir::ValueRange memory;
  int64_t rowTile;
  LaneIds ids;
  llvm::DenseMap<std::pair<size_t, int64_t>, mlir::Value> loaded; ///< by plane and load
};

/// The eight weights that a lane has of a step of 16 columns: the pairs of the slots in their order.
class StepReader : public CellReader {
public:
  StepReader(LaneBuilder &builder, FragmentReader &reader) : b(builder), reader(reader) {}

  mlir::Value lanes(const StorageItem &item, unsigned cell) override;
  mlir::Value elements(const StorageItem &item, unsigned cell, mlir::Value element) override;
  mlir::Value columns(unsigned column) override;

private:
  mlir::Value columnOf(unsigned lane);
  LaneBuilder &b;
  FragmentReader &reader;
};

/// Rows g and g + 8, for what is the same for all columns of a step.
class RowsReader : public CellReader {
public:
  RowsReader(LaneBuilder &builder, FragmentReader &reader) : b(builder), reader(reader) {}

  mlir::Value lanes(const StorageItem &item, unsigned cell) override;

private:
  LaneBuilder &b;
  FragmentReader &reader;
};

} // namespace quantc
