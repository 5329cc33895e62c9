//===- Intrinsics.h - what kernels call, by name ------------------------------------------------------------------===//
#pragma once

#include "Block.h"
#include <string_view>

namespace quantc::emulator {

using Intrinsic = std::function<void(Block &block, const Call &call)>;

/// The intrinsic of LLVM with this name, or the instruction of inline assembly with this text; empty: not emulated.
Intrinsic find(std::string_view name);

} // namespace quantc::emulator
