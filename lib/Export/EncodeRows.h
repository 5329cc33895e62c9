//===- EncodeRows.h - tensors encoded slab by slab --------------------------------------------------------------===//
#pragma once

#include "quantc/Encode/Encode.h"
#include "quantc/Encode/WeightError.h"

namespace quantc {

/// Encodes a tensor by round-to-nearest with the search of the format, and appends its rows in order; memory does not
/// grow with the tensor. What is lost is the result. Fails where `encode` does, with the row from which on it failed.
Result<WeightError> encodeRows(const Format &format, const EncodeSource &source, unsigned threads,
                               const std::function<Status(std::span<const std::byte>)> &append);

} // namespace quantc
