//===- Tensors.h - the tensors of a model, decoded on demand ----------------------------------------------------===//
#pragma once

#include "quantc/Format/Format.h"
#include "quantc/Import/Checkpoint.h"
#include <functional>

namespace quantc {

/// The row of a Hugging Face directory that is row `row` in GGUF's order of queries and keys (Architecture::
/// permutesQueriesAndKeys).
inline int64_t ggufRowOf(int64_t row, int64_t headDim) {
  const int64_t within = row % headDim;
  return row - within + within % 2 * (headDim / 2) + within / 2;
}

/// The inverse: the row of a GGUF file that is row `row` in the order of a Hugging Face directory.
inline int64_t directoryRowOf(int64_t row, int64_t headDim) {
  const int64_t within = row % headDim, half = headDim / 2;
  return row - within + within % half * 2 + within / half;
}

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
  int64_t headDim = 0; ///< of what is permuted
  /// Rows [row, row + rows) as f32, row-major; a vector is one row. May be called from several threads at once.
  std::function<Status(int64_t row, int64_t rows, float *out)> read;
  /// The same in the file's own order of rows.
  std::function<Status(int64_t row, int64_t rows, float *out)> readStored;

  /// Which of the file's own rows is the row that `read` gives at `row`.
  int64_t storedRow(int64_t row) const { return permuted ? ggufRowOf(row, headDim) : row; }
  int64_t rows() const { return shape.size() < 2 ? 1 : shape[0]; }
  int64_t columns() const { return shape.empty() ? 1 : shape.back(); }
};

/// Whether the rows of a role are those of queries or keys, which an architecture may order in two ways.
bool holdsQueriesOrKeys(std::string_view role);

/// Lets `read` of a tensor that is in the order of a Hugging Face directory give GGUF's.
void readInGgufOrder(StoredTensor &tensor, int64_t headDim);

/// The inverse for a tensor of a GGUF file: `read` gives rows in the order of a directory.
void readInDirectoryOrder(StoredTensor &tensor, int64_t headDim);

/// All tensors of a checkpoint.
Result<std::vector<StoredTensor>> openTensors(const std::shared_ptr<const Checkpoint> &checkpoint, Catalog &catalog);

} // namespace quantc
