//===- ScratchFile.cpp - memory that a file backs ---------------------------------------------------------------===//

#include "quantc/Support/ScratchFile.h"
#include "quantc/Support/Files.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

using namespace quantc;

Result<std::unique_ptr<ScratchFile>> ScratchFile::create(const std::filesystem::path &folder) {
  QUANTC_ASSIGN(int descriptor, openUnnamed(folder));
  return std::unique_ptr<ScratchFile>(new ScratchFile(folder, descriptor));
}

ScratchFile::~ScratchFile() {
  for (std::span<std::byte> mapping : mappings)
    munmap(mapping.data(), mapping.size());
  close(descriptor);
}

Result<std::span<std::byte>> ScratchFile::allocate(uint64_t size) {
  if (size == 0)
    return std::span<std::byte>();
  std::lock_guard lock(mutex);
  const uint64_t page = sysconf(_SC_PAGESIZE);
  // Blocks are reserved now: a full disk would otherwise be a SIGBUS when the mapping is written.
  if (int error = posix_fallocate(descriptor, end, size))
    return fail("{}: no room for {} bytes: {}", folder.string(), size, std::strerror(error));
  void *address = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, end);
  if (address == MAP_FAILED)
    return fail("{}: cannot map {} bytes: {}", folder.string(), size, std::strerror(errno));
  end = (end + size + page - 1) / page * page;
  return mappings.emplace_back(static_cast<std::byte *>(address), size);
}
