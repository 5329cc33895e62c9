//===- Kinds.h - kinds of tensors and formats that exports tell apart -------------------------------------------===//
#pragma once

#include "quantc/Import/Tensors.h"

namespace quantc {

/// Vectors and what is no weight of a layer stay; norms are f32 in GGUF.
inline bool isMatrix(const StoredTensor &t) {
  return t.shape.size() == 2 && t.role.ends_with(".weight") && t.role.find("norm") == std::string::npos;
}

} // namespace quantc
