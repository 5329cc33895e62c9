//===- GPULayer.h - kernels of nn layers on a GPU, in the emulator ------------------------------------------------===//
#pragma once

#include "emulator/Emulator.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "quantc/CodeGen/NVPTX/PTX.h"
#include <functional>

namespace llvm {
class Module;
} // namespace llvm

namespace quantc::test {

/// A function of nn ops named @kernel, compiled for the emulator by the passes for GPUs.
class GPULayer {
public:
  /// Changes a module of the llvm dialect before it is translated, or the LLVM IR before it is compiled.
  struct Faults {
    std::function<void(mlir::ModuleOp)> lanes; ///< at the level 'lanes'
    std::function<void(llvm::Module &)> code;
  };
  static Result<GPULayer> create(mlir::MLIRContext &context, const std::string &text, const Faults &faults = {},
                                 const std::string &target = "sm_80");

  /// Launches the kernel, or those for so many tokens one after the other, as a runtime does. `args` are those of a
  /// kernel for processors: a buffer is followed by its dynamic sizes; a quantized weight counts as one, and is the
  /// address of its planes (FragmentStorage). `memory` is all that may be read and written.
  Status run(std::span<const int64_t> args, std::span<const emulator::Buffer> memory, uint64_t seed = 1) const;

  const std::vector<GPUKernel> &kernels() const { return list; }

private:
  /// A parameter of the function.
  struct Parameter {
    std::vector<int64_t> offsets = {0}; ///< of what it becomes: planes of a weight
    int64_t sizes = 0;                  ///< dynamic ones
    bool isPast = false, isCache = false;
  };
  explicit GPULayer(emulator::Emulator code) : code(std::move(code)) {}
  emulator::Emulator code;
  std::vector<Parameter> parameters;
  std::vector<GPUKernel> list; ///< fewest tokens first
};

} // namespace quantc::test
