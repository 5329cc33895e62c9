//===- Workspace.h - room for large arrays: memory as long as there is some, then disk --------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <filesystem>
#include <map>
#include <memory>
#include <memory_resource>
#include <mutex>
#include <new>

namespace quantc {

class ScratchFile;

/// Where the arrays of long work lie (`std::pmr` containers take it). Large ones are private memory up to a limit;
/// those that come later lie in files without names, which the system writes out under pressure. Small ones are on the
/// heap and do not count. Thread-safe.
class Workspace : public std::pmr::memory_resource {
public:
  /// Arrays from this size on are large.
  static constexpr size_t large = 1 << 20;

  /// Thrown where neither memory nor disk has room: one line that says so.
  class NoRoom : public std::bad_alloc {
  public:
    explicit NoRoom(std::string message) : message(std::move(message)) {}
    const char *what() const noexcept override { return message.c_str(); }

  private:
    std::string message;
  };

  /// `limit`: bytes of private memory for all large arrays together. `folder`: on whose file system the others lie.
  explicit Workspace(std::filesystem::path folder, uint64_t limit = UINT64_MAX);
  ~Workspace() override;

  /// The most private memory that large arrays had together, and the most that lay in files, in bytes.
  uint64_t peakMemory() const;
  uint64_t peakDisk() const;

  /// Runs what allocates: `body` returns a Status or a Result, and so does this, an error where there was no room.
  template <typename Body> static auto guard(Body body) -> decltype(body()) {
    try {
      return body();
    } catch (const std::bad_alloc &error) {
      return fail("no memory left: {}", error.what());
    }
  }

private:
  void *do_allocate(size_t bytes, size_t alignment) override;
  void do_deallocate(void *address, size_t bytes, size_t alignment) override;
  bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override { return this == &other; }

  const std::filesystem::path folder;
  const uint64_t limit;
  mutable std::mutex mutex;
  std::map<void *, std::unique_ptr<ScratchFile>> files; ///< of the arrays that lie in one
  uint64_t memory = 0, disk = 0, mostMemory = 0, mostDisk = 0;
};

} // namespace quantc
