//===- Workspace.cpp - room for large arrays: memory as long as there is some, then disk ------------------------===//

#include "quantc/Support/Workspace.h"
#include "quantc/Support/ScratchFile.h"
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/mman.h>

using namespace quantc;

Workspace::Workspace(std::filesystem::path folder, uint64_t limit) : folder(std::move(folder)), limit(limit) {}
Workspace::~Workspace() = default;

uint64_t Workspace::peakMemory() const {
  std::lock_guard lock(mutex);
  return mostMemory;
}
uint64_t Workspace::peakDisk() const {
  std::lock_guard lock(mutex);
  return mostDisk;
}

void *Workspace::do_allocate(size_t bytes, size_t alignment) {
  if (bytes < large)
    return std::pmr::new_delete_resource()->allocate(bytes, alignment);
  std::lock_guard lock(mutex);
  if (bytes <= limit && memory <= limit - bytes) {
    void *address = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (address == MAP_FAILED)
      throw NoRoom(fmt::format("{} bytes: {}", bytes, std::strerror(errno)));
    madvise(address, bytes, MADV_HUGEPAGE);
    memory += bytes;
    mostMemory = std::max(mostMemory, memory);
    return address;
  }
  auto file = ScratchFile::create(folder);
  if (!file)
    throw NoRoom(file.error().message);
  const auto mapped = (*file)->allocate(bytes);
  if (!mapped)
    throw NoRoom(mapped.error().message);
  disk += bytes;
  mostDisk = std::max(mostDisk, disk);
  files[mapped->data()] = std::move(*file);
  return mapped->data();
}

void Workspace::do_deallocate(void *address, size_t bytes, size_t alignment) {
  if (bytes < large)
    return std::pmr::new_delete_resource()->deallocate(address, bytes, alignment);
  std::lock_guard lock(mutex);
  if (files.erase(address)) {
    disk -= bytes;
    return;
  }
  munmap(address, bytes);
  memory -= bytes;
}
