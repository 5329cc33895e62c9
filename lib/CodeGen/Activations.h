//===- Activations.h - activations as kernels read them ---------------------------------------------------------===//
#pragma once

#include "quantc/Dialect/QF/QF.h"
#include "quantc/Format/Factoring.h"
#include "quantc/Support/Result.h"

namespace quantc {

/// Where a block of activations (one row, `group` columns) has its parts, in bytes from its start. int8: x = scale ·
/// code, with signed codes of one byte in [-127, 127], one f32 scale, and sums of each `sumRun` codes, integers of
/// `sumBytes`. bf16: x = code; there is no scale, the codes also lie as f32 (`wide`), and sums are f32, where there are
/// none those of single codes.
struct ActivationLayout {
  int64_t group, sumRun, sumBytes;
  int64_t codes, sums;
  std::optional<int64_t> scale, wide;
  int64_t bytes = 0; ///< from a block to the next

  bool isHalf() const { return !scale; }
  int64_t codeBytes() const { return isHalf() ? 2 : 1; }

  /// Columns whose products of codes are summed before any scale, of x or of a weight.
  int64_t runOf(const Factoring &weight) const;

  /// Fails where the format of the block is of neither kind.
  static Result<ActivationLayout> of(qf::BlockType block);
};

/// Whether weights are multiplied as f32 by activations of this type, in blocks or not: as f32 themselves, or because
/// the target multiplies no bf16.
bool multipliesAsFloats(mlir::Operation *op, mlir::Type activation);

} // namespace quantc
