//===- Emulator.h - GPU kernels on the CPU ------------------------------------------------------------------------===//
//
// Runs the very LLVM IR that becomes PTX: compiled for the host, each thread of a block a fiber. Lanes of a warp meet
// at its collective instructions, threads of a block at barriers, in an order that a seed chooses. Asynchronous copies
// land at random between their issue and the wait for their group. Shared memory begins as NaN. What a GPU would leave
// undefined is an error: races on shared memory, accesses outside of buffers, lanes that part at a collective, barriers
// that some threads never reach, accesses before a wait for earlier kernels.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace llvm {
class LLVMContext;
class Module;
} // namespace llvm

namespace quantc::emulator {

/// Memory that a kernel may use.
struct Buffer {
  void *data;
  size_t bytes;
  bool writable = false;
};

struct Launch {
  std::string kernel;
  unsigned gridX = 1, gridY = 1, threads = 32;
  size_t sharedBytes = 0;
  uint64_t seed = 1;
  /// It began while earlier kernels run: its threads must wait for these before they touch what lies in buffers.
  bool overlaps = false;
};

/// Thread-safe only where one thread at a time launches.
class Emulator {
public:
  /// Compiles a module of kernels. Fails where it calls what is not emulated.
  static Result<Emulator> create(std::unique_ptr<llvm::Module> kernels, std::unique_ptr<llvm::LLVMContext> context);
  ~Emulator();
  Emulator(Emulator &&) noexcept;

  /// How many parameters a kernel has; fails where there is no such kernel.
  Result<size_t> parameters(const std::string &kernel) const;

  /// Runs all blocks, one after the other in an order that the seed chooses. Each argument is the address of a buffer
  /// or a number; nothing but `buffers` may be read and written.
  Status launch(const Launch &launch, std::span<const int64_t> arguments, std::span<const Buffer> buffers) const;

private:
  struct Code;
  explicit Emulator(std::unique_ptr<Code> code);
  std::unique_ptr<Code> code;
};

} // namespace quantc::emulator
