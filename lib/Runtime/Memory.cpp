//===- Memory.cpp - zeroed pages from the system ----------------------------------------------------------------===//

#include "quantc/Runtime/Memory.h"
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

using namespace quantc;

Result<Memory> Memory::allocate(size_t size) {
  if (size == 0)
    return Memory();
  void *address = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED)
    return fail("cannot allocate {} bytes: {}", size, std::strerror(errno));
  // More than this is filled sparsely (the KV cache of a long context, logits of every row): there each part touched
  // would cost the zeroing of a huge page.
  constexpr size_t huge = 256 << 20;
  if (size <= huge)
    ::madvise(address, size, MADV_HUGEPAGE);
  return Memory(static_cast<std::byte *>(address), size);
}

Memory::Memory(Memory &&other) noexcept
    : address(std::exchange(other.address, nullptr)), bytes(std::exchange(other.bytes, 0)) {}

Memory &Memory::operator=(Memory &&other) noexcept {
  std::swap(address, other.address);
  std::swap(bytes, other.bytes);
  return *this;
}

Memory::~Memory() {
  if (address)
    ::munmap(address, bytes);
}

void Memory::clear() {
  // On Linux private anonymous pages read as zeros after MADV_DONTNEED; locked pages refuse it.
  if (address && ::madvise(address, bytes, MADV_DONTNEED) != 0)
    std::memset(address, 0, bytes);
}

Status quantc::makeExecutable(std::span<const std::byte> code) {
  const uintptr_t page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t address = reinterpret_cast<uintptr_t>(code.data()), begin = address / page * page;
  if (::mprotect(reinterpret_cast<void *>(begin), address + code.size() - begin, PROT_READ | PROT_EXEC) != 0)
    return fail("cannot make its code executable: {}; is the file system mounted noexec?", std::strerror(errno));
  return {};
}

/// The control group's limit; a large number where there is none. What the group uses is not deducted: most of it is
/// the page cache of mapped weights, which the system takes back when asked.
static uint64_t controlGroupLimit() {
  std::ifstream file("/sys/fs/cgroup/memory.max");
  uint64_t limit = 0;
  return file >> limit ? limit : UINT64_MAX;
}

/// The number of kibibytes behind a key of a file of /proc, in bytes.
static std::optional<uint64_t> readKibibytes(const char *file, std::string_view wanted) {
  std::ifstream info(file);
  for (std::string key; info >> key;) {
    uint64_t kibibytes = 0;
    if (key == wanted && info >> kibibytes)
      return kibibytes * 1024;
    info.ignore(4096, '\n');
  }
  return std::nullopt;
}

uint64_t quantc::availableMemory() {
  return std::min(readKibibytes("/proc/meminfo", "MemAvailable:").value_or(UINT64_MAX), controlGroupLimit());
}

uint64_t quantc::privateMemory() {
  return readKibibytes("/proc/self/status", "RssAnon:").value_or(0);
}
