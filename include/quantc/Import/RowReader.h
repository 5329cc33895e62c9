//===- RowReader.h - rows of a weight, wherever its bits lie ----------------------------------------------------===//
#pragma once

#include "quantc/Format/Layout.h"
#include "quantc/Import/Checkpoint.h"

namespace quantc {

/// The order of columns where that of a bound weight's fields is another than the file's (BoundWeight::order).
enum class Columns { OfFile, OfFields };

/// Reads rows of a tensor of a checkpoint, which must outlive it. Thread-safe.
class RowReader {
public:
  /// Rows of `columns` numbers. Fails where the tensor is no whole number of blocks of its format.
  static Result<RowReader> create(const CheckpointTensor &tensor, std::shared_ptr<const Format> format, int64_t columns,
                                  Columns order = Columns::OfFile);
  /// Rows [row, row + count) as f32.
  Status read(int64_t row, int64_t count, float *out) const;

private:
  RowReader(const CheckpointTensor &tensor, std::shared_ptr<const Format> format, int64_t columns, Columns order)
      : tensor(&tensor), format(std::move(format)), columns(columns), order(order) {}
  Status readBlocks(int64_t row, int64_t count, float *out) const;
  Status readBound(int64_t row, int64_t count, float *out) const;

  const CheckpointTensor *tensor;
  std::shared_ptr<const Format> format;
  int64_t columns;
  Columns order;
  std::optional<BlockLayout> layout; ///< of rows of blocks
  std::optional<Program> program;    ///< of bound tensors: their value
  bool plain = false;                ///< numbers, which need no fields
};

} // namespace quantc
