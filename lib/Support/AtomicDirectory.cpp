//===- AtomicDirectory.cpp - a folder that appears whole or not at all ------------------------------------------===//

#include "quantc/Support/AtomicDirectory.h"
#include "StaleFiles.h"
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace fs = std::filesystem;
using namespace quantc;

/// "a/b/" is the folder a/b.
static fs::path withoutSlash(const fs::path &path) {
  return path.has_filename() ? path : path.parent_path();
}

Result<AtomicDirectory> AtomicDirectory::create(const fs::path &given) {
  const fs::path path = withoutSlash(given);
  std::error_code ignored;
  if (const auto kind = fs::symlink_status(path, ignored).type();
      kind != fs::file_type::not_found && !(kind == fs::file_type::directory && fs::is_empty(path, ignored)))
    return fail("{}: is there already; remove it, or name another folder to write", path.string());
  removeStale(path);
  std::string pattern = path.string() + ".tmp-XXXXXX";
  if (!::mkdtemp(pattern.data()))
    return fail("{}: cannot write here: {}", path.string(), std::strerror(errno));
  const int fd = ::open(pattern.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY);
  ::flock(fd, LOCK_EX | LOCK_NB);
  ::fchmod(fd, 0755);
  return AtomicDirectory(path, pattern, fd);
}

AtomicDirectory::AtomicDirectory(AtomicDirectory &&other) noexcept
    : path(std::move(other.path)), temporary(std::move(other.temporary)), descriptor(other.descriptor) {
  other.descriptor = -1;
}

AtomicDirectory::~AtomicDirectory() {
  if (descriptor < 0)
    return;
  std::error_code ignored;
  fs::remove_all(temporary, ignored);
  ::close(descriptor);
}

Status AtomicDirectory::commit() {
  if (::fsync(descriptor) != 0 || ::rename(temporary.c_str(), path.c_str()) != 0)
    return fail("{}: cannot finish writing: {}", path.string(), std::strerror(errno));
  ::close(descriptor);
  descriptor = -1;
  return {};
}
