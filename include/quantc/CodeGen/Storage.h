//===- Storage.h - the block behind a tensor of quantized numbers -----------------------------------------------===//
#pragma once

#include "quantc/Dialect/QF/QF.h"

namespace quantc {

/// The block that holds elements of `type`, a shaped type of `!qf.elem` or `!qf.block`, as a weight: kernel storage of `rows` rows.
/// Null for other types and for formats without kernel storage.
qf::BlockType weightBlock(mlir::Type type, unsigned rows);

/// The same as activations: blocks as files have them, of one row.
qf::BlockType activationBlock(mlir::Type type);

} // namespace quantc
