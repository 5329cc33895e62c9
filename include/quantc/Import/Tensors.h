//===- Tensors.h - the tensors of a model, decoded on demand ----------------------------------------------------===//
#pragma once

#include "quantc/Format/Format.h"
#include "quantc/Import/Checkpoint.h"
#include <functional>

namespace quantc {

/// A tensor as a model stores it.
struct StoredTensor {
  std::string name;   ///< in the model's own terms
  std::string role;   ///< the same for every kind of model ("blk.0.attn_q.weight"); the name where none is known
  std::string format; ///< specification
  std::vector<int64_t> shape;
  uint64_t bytes = 0;
  std::span<const std::byte> raw; ///< as the file has them; none where a container binds several tensors
  /// `read` gives rows in another order than `raw` has them: queries and keys come in GGUF's order.
  bool permuted = false;
  /// Rows [row, row + rows) as f32, row-major; a vector is one row. May be called from several threads at once.
  std::function<Status(int64_t row, int64_t rows, float *out)> read;
  /// The same in the file's own order of rows.
  std::function<Status(int64_t row, int64_t rows, float *out)> readStored;

  int64_t rows() const { return shape.size() < 2 ? 1 : shape[0]; }
  int64_t columns() const { return shape.empty() ? 1 : shape.back(); }
};

/// All tensors of a checkpoint.
Result<std::vector<StoredTensor>> openTensors(const std::shared_ptr<const Checkpoint> &checkpoint, Catalog &catalog);

} // namespace quantc
