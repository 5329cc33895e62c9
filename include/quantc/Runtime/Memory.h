//===- Memory.h - zeroed pages from the system ------------------------------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <cstddef>
#include <cstdint>
#include <span>

namespace quantc {

/// Private pages that start as zeros and take memory only once touched.
class Memory {
public:
  static Result<Memory> allocate(size_t size);
  Memory() = default;
  Memory(Memory &&other) noexcept;
  Memory &operator=(Memory &&other) noexcept;
  ~Memory();

  std::byte *data() const { return address; }
  size_t size() const { return bytes; }

  /// Makes everything zeros again and gives the pages back to the system.
  void clear();

private:
  Memory(std::byte *address, size_t bytes) : address(address), bytes(bytes) {}
  std::byte *address = nullptr;
  size_t bytes = 0;
};

/// Makes the pages of an image of machine code executable where they lie; nothing writes them from then on.
Status makeExecutable(std::span<const std::byte> code);

/// Bytes that the system can give without swapping, at most the control group's limit; UINT64_MAX where neither is
/// known.
uint64_t availableMemory();

/// Bytes of private memory that this process has now: pages that no file backs; 0 where the system does not say.
uint64_t privateMemory();

} // namespace quantc
