//===- HostCode.h - a module of kernels for the host --------------------------------------------------------------===//
#pragma once

#include "llvm/IR/Module.h"
#include <string>
#include <vector>

namespace quantc::emulator {

/// Functions that the rewritten module calls.
constexpr char callFunction[] = "emulator_call", accessFunction[] = "emulator_access";

/// Rewrites a module for NVPTX: what is not of every target becomes `emulator_call(index, operands, result)`, the index
/// into the names that are returned; each load and store of memory `emulator_access(address, bytes, isWrite)` before
/// it; dynamic shared memory begins at `shared`. Each kernel gets `<name>_run(arguments)` for an array of i64.
std::vector<std::string> toHost(llvm::Module &module, const void *shared);

} // namespace quantc::emulator
