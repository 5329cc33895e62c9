//===- TensorMap.h - descriptors of tensors for bulk copies -------------------------------------------------------===//
//
// A driver encodes them (cuTensorMapEncodeTiled) in 128 bytes whose layout it alone knows. The emulator has its own.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <cstdint>
#include <span>

namespace quantc::emulator {

/// A matrix in global memory, of which tiles are copied: columns lie side by side.
struct alignas(64) TensorMap {
  static constexpr uint64_t known = 0x7465'6e73'6f72'6d61;
  uint64_t tag;           ///< `known`
  uint64_t address;       ///< multiple of 16
  uint64_t columns, rows; ///< of the matrix; what lies outside of it is copied as zeros
  uint64_t rowBytes;      ///< from row to row: multiple of 16
  uint32_t tileColumns, tileRows;
  uint32_t elementBytes;
  uint32_t swizzleBytes; ///< 0, 32, 64 or 128: of a row in shared memory
  uint64_t unused[8];
};
static_assert(sizeof(TensorMap) == 128);

/// Fails where a driver does: on sizes and alignments that a copy cannot have.
Status check(const TensorMap &map);

} // namespace quantc::emulator
