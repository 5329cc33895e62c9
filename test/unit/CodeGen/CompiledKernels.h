//===- CompiledKernels.h - kernels compiled in process, to be called --------------------------------------------===//
#pragma once

#include "ForeignProcessor.h"
#include "mlir/IR/MLIRContext.h"
#include "quantc/CodeGen/MachineCode.h"
#include "quantc/Support/Result.h"
#include "quantc/Target/Target.h"
#include <map>
#include <memory>
#include <span>
#include <string>

namespace quantc::test {

/// Kernels mapped executable; those for another processor are emulated.
class CompiledKernels {
public:
  /// Compiles text of the level `linalg` for a target.
  static Result<CompiledKernels> compile(mlir::MLIRContext &context, const std::string &text, const Target &target);

  int64_t tasks(const std::string &kernel, std::span<const int64_t> args) const;
  void run(const std::string &kernel, std::span<const int64_t> args, int64_t begin, int64_t end) const;
  void runAll(const std::string &kernel, std::span<const int64_t> args) const {
    run(kernel, args, 0, tasks(kernel, args));
  }
  /// What multiplies for so many tokens, by `KernelChoices`: the first of its names; "" where there is none.
  std::string instruction(const std::string &kernel, int64_t tokens) const;

private:
  struct Unmap {
    size_t size;
    void operator()(std::byte *code) const;
  };
  std::unique_ptr<std::byte, Unmap> code{nullptr, Unmap{0}};
  size_t size = 0;
  std::unique_ptr<ForeignProcessor> foreign; ///< null: this processor runs them
  std::map<std::string, CodeImage::Entry> entries;
};

/// A context with all dialects, and the description files of the source tree.
std::unique_ptr<mlir::MLIRContext> createContext();

/// Targets of the source tree that this processor can run.
std::vector<Target> runnableTargets();
/// Those that can be emulated, though this processor cannot run them.
std::vector<Target> emulatedTargets();
/// All of both, and of those that run here only the slowest and the fastest.
std::vector<Target> testableTargets();
std::vector<Target> contrastingTargets();

/// Bytes from one block of activations to the next on a target, if the description has so many: those with a matrix
/// unit give blocks of more than two lines of 64 bytes an odd number of lines.
size_t activationStride(const Target &target, size_t bytes);

} // namespace quantc::test
