//===- Files.cpp - mapped input, atomic output, the data directory ----------------------------------------------===//

#include "quantc/Support/Files.h"
#include "StaleFiles.h"
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace fs = std::filesystem;
using namespace quantc;

static std::string reason() {
  return std::strerror(errno);
}

namespace {
struct OpenFile {
  int descriptor;
  size_t size;
};
} // namespace

static Result<OpenFile> openRegular(const fs::path &path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return fail("{}: cannot open: {}", path.string(), reason());
  struct stat info{};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(fd);
    return fail("{}: not a regular file", path.string());
  }
  return OpenFile{fd, static_cast<size_t>(info.st_size)};
}

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const fs::path &path) {
  QUANTC_ASSIGN(const OpenFile file, openRegular(path));
  void *data = file.size ? ::mmap(nullptr, file.size, PROT_READ, MAP_PRIVATE, file.descriptor, 0) : nullptr;
  ::close(file.descriptor);
  if (data == MAP_FAILED)
    return fail("{}: cannot map: {}", path.string(), reason());
  return std::shared_ptr<const MappedFile>(new MappedFile(path, static_cast<const std::byte *>(data), file.size));
}

MappedFile::~MappedFile() {
  if (data)
    ::munmap(const_cast<std::byte *>(data), size);
}

//===- Atomic output --------------------------------------------------------------------------------------------===//
//
// The temporary file has no name where the system can do that, so that nothing is left of a process that is killed.
// Elsewhere it has one, `<path>.tmp-XXXXXX`; its lock lives as long as its process, and what nobody locks is removed by
// the next one.

Status quantc::checkOutput(const fs::path &output, const fs::path &model) {
  std::error_code ignored;
  const fs::path folder = output.has_parent_path() ? output.parent_path() : ".";
  if (fs::equivalent(output, model, ignored) || (fs::exists(output, ignored) && fs::equivalent(folder, model, ignored)))
    return fail("{}: belongs to the model that is read; give the output another name", output.string());
  return {};
}

Result<int> quantc::openUnnamed(const fs::path &folder) {
  int fd = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);
  if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
    std::string pattern = (folder / ".quantc-XXXXXX").string();
    fd = ::mkostemp(pattern.data(), O_CLOEXEC);
    if (fd >= 0)
      ::unlink(pattern.c_str());
  }
  if (fd < 0)
    return fail("{}: cannot write here: {}", folder.string(), reason());
  return fd;
}

Result<AtomicFile> AtomicFile::create(const fs::path &path) {
  std::error_code ignored;
  if (const auto kind = fs::status(path, ignored).type(); kind == fs::file_type::directory)
    return fail("{}: is a folder; name a file to write", path.string());
  else if (kind != fs::file_type::not_found && kind != fs::file_type::regular)
    return fail("{}: is no regular file, and would be replaced; name another file to write", path.string());
  removeStale(path);
  const fs::path folder = path.has_parent_path() ? path.parent_path() : ".";
  int fd = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0644);
  std::string pattern;
  if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
    pattern = path.string() + ".tmp-XXXXXX";
    fd = ::mkostemp(pattern.data(), O_CLOEXEC);
    if (fd >= 0)
      ::fchmod(fd, 0644);
  }
  if (fd < 0)
    return fail("{}: cannot write here: {}", path.string(), reason());
  ::flock(fd, LOCK_EX | LOCK_NB);
  return AtomicFile(path, pattern, fd);
}

AtomicFile::AtomicFile(AtomicFile &&other) noexcept
    : path(std::move(other.path)), temporary(std::move(other.temporary)), descriptor(other.descriptor),
      written(other.written), buffer(std::move(other.buffer)) {
  other.descriptor = -1;
}

AtomicFile::~AtomicFile() {
  if (descriptor < 0)
    return;
  ::close(descriptor);
  if (!temporary.empty())
    ::unlink(temporary.c_str());
}

static constexpr size_t bufferBytes = size_t(4) << 20;

Status AtomicFile::write(std::span<const std::byte> bytes) {
  if (buffer.size() + bytes.size() > bufferBytes)
    QUANTC_TRY(flush());
  if (bytes.size() > bufferBytes)
    QUANTC_TRY(put(written, bytes));
  else
    buffer.insert(buffer.end(), bytes.begin(), bytes.end());
  written += bytes.size();
  return {};
}

Status AtomicFile::flush() {
  QUANTC_TRY(put(written - buffer.size(), buffer));
  buffer.clear();
  return {};
}

Status AtomicFile::writeAt(uint64_t offset, std::span<const std::byte> bytes) {
  QUANTC_TRY(flush());
  return put(offset, bytes);
}

Status AtomicFile::put(uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    ssize_t n = ::pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return fail("{}: cannot write: {}", path.string(), reason());
    bytes = bytes.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return {};
}

Status AtomicFile::commit() {
  QUANTC_TRY(flush());
  if (::fsync(descriptor) != 0)
    return fail("{}: cannot finish writing: {}", path.string(), reason());
  const std::string self = "/proc/self/fd/" + std::to_string(descriptor);
  auto link = [&](const fs::path &name) {
    return ::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0;
  };
  // A file without a name gets the final one, or, where that is taken, one from which it can replace the old file.
  bool done = temporary.empty() && link(path);
  for (int attempt = 0; !done && temporary.empty() && errno == EEXIST; attempt++)
    if (fs::path name = fmt::format("{}.tmp-{}-{}", path.string(), ::getpid(), attempt); link(name))
      temporary = name;
  if (!done && (temporary.empty() || ::rename(temporary.c_str(), path.c_str()) != 0))
    return fail("{}: cannot finish writing: {}", path.string(), reason());
  ::close(descriptor);
  descriptor = -1;
  return {};
}

Status quantc::writeFile(const fs::path &path, std::string_view text) {
  QUANTC_ASSIGN(AtomicFile file, AtomicFile::create(path));
  QUANTC_TRY(file.write(text));
  return file.commit();
}

/// Read, not mapped: short files are read faster, and one that shrinks meanwhile is an error instead of a signal.
Result<std::string> quantc::readText(const fs::path &path, uint64_t limit) {
  QUANTC_ASSIGN(const OpenFile file, openRegular(path));
  std::string text(file.size <= limit ? file.size : 0, '\0');
  size_t have = 0;
  while (have < text.size()) {
    const ssize_t n = ::read(file.descriptor, text.data() + have, text.size() - have);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      break;
    have += static_cast<size_t>(n);
  }
  ::close(file.descriptor);
  if (file.size > limit)
    return fail("{}: {} bytes, more than the {} that such a file may have", path.string(), file.size, limit);
  if (have < text.size())
    return fail("{}: cannot be read to its end", path.string());
  return text;
}

Result<fs::path> quantc::dataDirectory() {
  std::error_code error;
  fs::path program = fs::read_symlink("/proc/self/exe", error);
  fs::path data = program.parent_path().parent_path() / "share" / "quantc";
  if (error || !fs::is_directory(data / "formats", error))
    return fail(
        "{}: the descriptions of formats are missing there; install quantc whole, or run it from its build tree",
        data.string());
  return data;
}
