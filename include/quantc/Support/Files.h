//===- Files.h - mapped input, atomic output, the data directory ------------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace quantc {

/// A whole file mapped read-only. Pages are read when touched, and nothing is copied.
class MappedFile {
public:
  /// Fails where the file does not exist, is a directory, or cannot be mapped. An empty file maps to no bytes.
  static Result<std::shared_ptr<const MappedFile>> open(const std::filesystem::path &path);
  ~MappedFile();
  MappedFile(const MappedFile &) = delete;
  MappedFile &operator=(const MappedFile &) = delete;

  std::span<const std::byte> bytes() const { return {data, size}; }
  const std::filesystem::path &path() const { return filePath; }

private:
  MappedFile(std::filesystem::path path, const std::byte *data, size_t size)
      : filePath(std::move(path)), data(data), size(size) {}
  std::filesystem::path filePath;
  const std::byte *data;
  size_t size;
};

/// A file that appears whole or not at all: bytes go to a file without a name in the folder of `path`, which `commit`
/// gives it. Without `commit` nothing is left, however the process ends.
class AtomicFile {
public:
  /// Fails where the folder cannot be written, and on what is there already and no regular file.
  static Result<AtomicFile> create(const std::filesystem::path &path);
  AtomicFile(AtomicFile &&other) noexcept;
  AtomicFile &operator=(AtomicFile &&) = delete;
  ~AtomicFile();

  /// Appends at the current position. Fails (a full disk, say) with the path and the system's reason.
  Status write(std::span<const std::byte> bytes);
  Status write(std::string_view text) { return write(std::as_bytes(std::span(text))); }
  /// Overwrites bytes written earlier; the position stays at the end.
  Status writeAt(uint64_t offset, std::span<const std::byte> bytes);
  uint64_t position() const { return written; }
  /// Flushes to disk and renames to the final name.
  Status commit();

private:
  AtomicFile(std::filesystem::path path, std::filesystem::path temporary, int descriptor)
      : path(std::move(path)), temporary(std::move(temporary)), descriptor(descriptor) {}
  Status flush();
  Status put(uint64_t offset, std::span<const std::byte> bytes);
  std::filesystem::path path, temporary; ///< `temporary`: empty while the file has no name
  int descriptor;
  uint64_t written = 0;          ///< in the file and in the buffer
  std::vector<std::byte> buffer; ///< large writes let the system map the file by huge pages later
};

/// A whole file of this text.
Status writeFile(const std::filesystem::path &path, std::string_view text);

/// Refuses to write a model over its own files: `output` must be neither `model` nor a file in that folder.
Status checkOutput(const std::filesystem::path &output, const std::filesystem::path &model);

/// The descriptor of a new file in a folder that has no name: it is gone when the descriptor is closed.
Result<int> openUnnamed(const std::filesystem::path &folder);

/// A whole text file of at most `limit` bytes.
Result<std::string> readText(const std::filesystem::path &path, uint64_t limit = 64u << 20);

/// Where formats/, containers/, policies/, architectures/ and targets/ lie: `../share/quantc` beside the running
/// program.
Result<std::filesystem::path> dataDirectory();

} // namespace quantc
