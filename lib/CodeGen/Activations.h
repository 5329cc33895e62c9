//===- Activations.h - int8 activations as kernels read them ----------------------------------------------------===//
#pragma once

#include "quantc/Dialect/QF/QF.h"
#include "quantc/Support/Result.h"

namespace quantc {

/// Where a block of activations (one row, `group` columns) has its parts, in bytes from its start: x = scale · code,
/// with signed codes of one byte in [-127, 127], one f32 scale, and sums of each `sumRun` codes, integers of
/// `sumBytes`.
struct ActivationLayout {
  int64_t group, sumRun, sumBytes, bytes;
  int64_t codes, scale, sums;

  /// Fails where the format of the block is not of this kind.
  static Result<ActivationLayout> of(qf::BlockType block);
};

} // namespace quantc
