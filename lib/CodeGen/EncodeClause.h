//===- EncodeClause.h - the encode clause of a format as code ---------------------------------------------------===//
#pragma once

#include "LaneBuilder.h"
#include "quantc/Format/Format.h"

namespace quantc {

/// A value of each run of `run` columns. run = 1: vectors of 16 columns; else a scalar for each run, which is 16
/// columns or more. Integers are i32, all else is f32.
struct Cells {
  int64_t run = 1;
  llvm::SmallVector<mlir::Value> values;
};

/// Where the cells of an encoded row go.
class CellStore {
public:
  virtual ~CellStore() = default;
  /// Stores all cells of a field, rounded to what the field holds. Fails with the reason.
  virtual Status store(const Field &field, const Cells &cells) = 0;
};

/// Evaluates the clause `encode` of the format for `x`, a vector of at most `columns` columns of one row (those beyond
/// are zeros), and hands the cells of each field to `store`. `columns` are whole vectors and whole scopes. Searches are
/// not for run time: fails with the reason.
Status emitEncodeClause(LaneBuilder &b, const Format &format, int64_t columns, mlir::Value x, CellStore &store);

} // namespace quantc
