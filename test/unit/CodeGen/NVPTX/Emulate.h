//===- Emulate.h - kernels of GPUs, as far as the emulator ------------------------------------------------------===//
#pragma once

#include "emulator/Emulator.h"
#include "quantc/Pipelines/NVPTX.h"
#include <functional>

namespace quantc::test {

/// Lowers the kernels of a module, which is then that of the description of their launches, translates them and
/// compiles them for the emulator. `lanes` (at the level of that name) and `code` may change them on the way, or are
/// empty.
Result<emulator::Emulator> emulate(mlir::ModuleOp module, const NVPTXOptions &options,
                                   const std::function<void(mlir::ModuleOp)> &lanes,
                                   const std::function<void(llvm::Module &)> &code);

} // namespace quantc::test
