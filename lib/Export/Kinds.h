//===- Kinds.h - kinds of tensors and formats that exports tell apart -------------------------------------------===//
#pragma once

#include "quantc/Import/Tensors.h"

namespace quantc {

/// Vectors and what is no weight of a layer stay; norms are f32 in GGUF.
inline bool isMatrix(const StoredTensor &t) {
  return t.shape.size() == 2 && t.role.ends_with(".weight") && t.role.find("norm") == std::string::npos;
}

/// A number for each weight and nothing else: f32, f16, bf16.
inline bool isPlainFloat(const Format &format) {
  return format.block() && format.block()->columns == 1 && format.fields().size() == 1;
}

} // namespace quantc
