//===- ForeignProcessor.h - code for another processor, emulated in this process --------------------------------===//
#pragma once

#include "quantc/Target/Target.h"
#include <cstdint>
#include <initializer_list>
#include <memory>

struct uc_struct;

namespace quantc::test {

/// An AArch64 processor that sees this process's memory at its own addresses (Unicorn): what kernels are called with
/// are the same pointers. Without Unicorn there is none, and no target can be emulated.
class ForeignProcessor {
public:
  /// Whether code for a target can be emulated: it is for AArch64, and needs no more than Unicorn knows.
  static bool canRun(const Target &target);

  ForeignProcessor();
  ~ForeignProcessor();

  /// Calls the function at `address`. Ends the program where it does what the emulator cannot.
  int64_t call(const void *address, std::initializer_list<int64_t> arguments);

private:
  struct Stack;
  std::unique_ptr<Stack> stack;
  uc_struct *engine = nullptr;
};

} // namespace quantc::test
