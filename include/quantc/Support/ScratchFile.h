//===- ScratchFile.h - memory that a file backs -----------------------------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <cstddef>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

namespace quantc {

/// Room for what is too large for memory: a file without a name, which vanishes with the process. The kernel writes it
/// out under pressure, so that filling it takes no anonymous memory. Thread-safe.
class ScratchFile {
public:
  /// `folder`: on whose file system.
  static Result<std::unique_ptr<ScratchFile>> create(const std::filesystem::path &folder);
  ~ScratchFile();

  /// `size` zero bytes, mapped until the file is destroyed. Fails where the disk is full.
  Result<std::span<std::byte>> allocate(uint64_t size);

private:
  ScratchFile(std::filesystem::path folder, int descriptor) : folder(std::move(folder)), descriptor(descriptor) {}
  std::filesystem::path folder;
  int descriptor;
  uint64_t end = 0;
  std::mutex mutex;
  std::vector<std::span<std::byte>> mappings;
};

} // namespace quantc
