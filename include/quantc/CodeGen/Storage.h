//===- Storage.h - the block behind a tensor of quantized numbers -----------------------------------------------===//
#pragma once

#include "quantc/Dialect/QF/QF.h"

namespace quantc {

/// Whether elements of `type` are `!qf.elem` or `!qf.block`.
bool isQuantized(mlir::Type type);

/// The block that holds elements of `type` (a quantized type) as a weight: kernel storage of the target of `op`. Emits
/// an error at `op` where the format has no kernel storage, or there is no target.
mlir::FailureOr<qf::BlockType> weightBlock(mlir::Operation *op, mlir::Type type);

/// The same as activations: blocks as files have them, in whole lines of cache for a matrix unit.
mlir::FailureOr<qf::BlockType> activationBlock(mlir::Operation *op, mlir::Type type);

} // namespace quantc
