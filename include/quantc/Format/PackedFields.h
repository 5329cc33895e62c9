//===- PackedFields.h - the fields of a weight, as few bits as they need -----------------------------------------===//
//
// Each field's values lie one after the other in their own width; fields begin at bytes. Rows can be packed and
// unpacked alone where no cell belongs to others too.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Format/Decode.h"
#include <cstddef>
#include <span>

namespace quantc {

/// Bytes of all fields of a weight N x K.
uint64_t packedFieldBytes(const Format &format, int64_t N, int64_t K);

/// Whole cells and whole bytes of all fields are in each multiple of so many rows; N where only the weight as a whole
/// has them.
int64_t packedRowUnit(const Format &format, int64_t N, int64_t K);

/// The same for cells alone, of which those of the whole tensor are in all rows.
int64_t cellRowUnit(const Format &format, int64_t N, int64_t K);

/// Writes the fields of rows [row, row + rows), which begin and (but for the last) end at a multiple of the unit. Other
/// threads may write other rows.
void packRows(const Format &format, int64_t N, int64_t K, int64_t row, int64_t rows, const FieldValues &fields,
              std::span<std::byte> packed);
/// The inverse; of rows that begin and end where cells do.
FieldValues unpackRows(const Format &format, int64_t N, int64_t K, int64_t row, int64_t rows,
                       std::span<const std::byte> packed);

} // namespace quantc
