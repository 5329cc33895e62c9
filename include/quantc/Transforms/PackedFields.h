//===- PackedFields.h - the fields of a weight, as few bits as they need -----------------------------------------===//
#pragma once

#include "quantc/Format/Decode.h"
#include <cstddef>
#include <span>

namespace quantc {

/// Bytes that `packFields` writes: each field's values one after the other in their own width, fields begin at bytes.
uint64_t packedFieldBytes(const Format &format, const FieldValues &fields);
void packFields(const Format &format, const FieldValues &fields, std::span<std::byte> out);
/// The inverse, of a weight N x K.
FieldValues unpackFields(const Format &format, int64_t N, int64_t K, std::span<const std::byte> packed);

} // namespace quantc
