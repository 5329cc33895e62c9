//===- Spool.h - finished parts of long work, kept until all of it is done --------------------------------------===//
#pragma once

#include "quantc/Support/Files.h"
#include <map>
#include <optional>
#include <string>

namespace quantc {

/// A folder of finished parts: what a process that was killed has finished, the next one finds. Each part appears whole
/// or not at all. A fingerprint says of which work they are; parts of other work are removed.
class Spool {
public:
  /// `fresh`: begins anew. Fails where another process uses the folder, and on a folder that is no spool.
  static Result<std::unique_ptr<Spool>> open(const std::filesystem::path &folder, const std::string &fingerprint,
                                             bool fresh);
  Spool(const Spool &) = delete;
  ~Spool();

  /// Parts that were there when it was opened.
  uint64_t found() const { return foundParts; }
  /// The bytes of a part, mapped until the spool is destroyed; nothing where it is not finished.
  Result<std::optional<std::span<const std::byte>>> find(const std::string &name);
  /// Keeps a finished part, on disk.
  Result<std::span<const std::byte>> put(const std::string &name, std::span<const std::byte> bytes);
  /// Where a part lies once it is finished.
  std::filesystem::path fileOf(const std::string &name) const { return folder / (name + ".part"); }
  /// Gives a part up that is no longer needed.
  Status drop(const std::string &name);
  /// All work is done: removes the folder.
  Status remove();

private:
  Spool(std::filesystem::path folder, int descriptor) : folder(std::move(folder)), descriptor(descriptor) {}
  Status begin(const std::string &fingerprint, bool fresh);

  std::filesystem::path folder;
  int descriptor; ///< holds the lock that says the folder is in use
  uint64_t foundParts = 0;
  std::map<std::string, std::shared_ptr<const MappedFile>> mapped;
};

} // namespace quantc
