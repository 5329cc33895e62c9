//===- AtomicDirectory.h - a folder that appears whole or not at all --------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <filesystem>

namespace quantc {

/// Files are put into a folder `<path>.tmp-XXXXXX`, which `commit` renames. Without `commit` it is removed; one that a
/// killed process left is removed by the next with the same path.
class AtomicDirectory {
public:
  /// Fails where something is at `path` already, but for an empty folder, or its parent cannot be written.
  static Result<AtomicDirectory> create(const std::filesystem::path &path);
  AtomicDirectory(AtomicDirectory &&other) noexcept;
  AtomicDirectory &operator=(AtomicDirectory &&) = delete;
  ~AtomicDirectory();

  /// Where files are put meanwhile.
  const std::filesystem::path &folder() const { return temporary; }
  /// Nothing may be put into it any more.
  Status commit();

private:
  AtomicDirectory(std::filesystem::path path, std::filesystem::path temporary, int descriptor)
      : path(std::move(path)), temporary(std::move(temporary)), descriptor(descriptor) {}
  std::filesystem::path path, temporary;
  int descriptor; ///< holds the lock that says the folder is in use
};

} // namespace quantc
