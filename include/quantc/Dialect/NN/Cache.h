//===- Cache.h - what tensors of a program take of memory -------------------------------------------------------===//
#pragma once

#include "quantc/Dialect/NN/NN.h"
#include "quantc/Dialect/QF/QF.h"

namespace quantc::nn {

/// The block of kernel storage, of `keyGroup` positions, in which a cache of a format lies (NN_Cache). The cache was
/// verified: there is one.
qf::BlockType cacheBlock(mlir::RankedTensorType cache);

/// Bytes of a position of a cache, of all heads.
int64_t cacheBytes(mlir::RankedTensorType cache);

/// Bytes of a row of a tensor (of its first dimension), at most: quantized numbers lie in blocks as files have them, or
/// in lines (qf::bytesInLines).
int64_t rowBytes(mlir::RankedTensorType type);

} // namespace quantc::nn
