//===- Spool.cpp - finished parts of long work, kept until all of it is done ------------------------------------===//

#include "quantc/Support/Spool.h"
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace fs = std::filesystem;
using namespace quantc;

static constexpr const char *fingerprintFile = "fingerprint";

static bool isPart(const fs::path &path) {
  return path.extension() == ".part";
}

Result<std::unique_ptr<Spool>> Spool::open(const fs::path &folder, const std::string &fingerprint, bool fresh) {
  std::error_code error;
  fs::create_directory(folder, error);
  const int fd = ::open(folder.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW);
  if (fd < 0)
    return fail("{}: cannot keep finished work here: {}", folder.string(), std::strerror(errno));
  std::unique_ptr<Spool> spool(new Spool(folder, fd));
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0)
    return fail("{}: another process works on this output", folder.string());
  QUANTC_TRY(spool->begin(fingerprint, fresh));
  return spool;
}

Spool::~Spool() {
  ::close(descriptor);
}

Status Spool::begin(const std::string &fingerprint, bool fresh) {
  std::vector<fs::path> parts, leftovers;
  bool isSpool = false, isForeign = false;
  std::error_code error;
  for (const auto &entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    isSpool |= name == fingerprintFile;
    if (isPart(entry.path()))
      parts.push_back(entry.path());
    else if (name.find(".part.tmp-") != std::string::npos || name.starts_with(std::string(fingerprintFile) + ".tmp-"))
      leftovers.push_back(entry.path());
    else
      isForeign |= name != fingerprintFile;
  }
  if (error)
    return fail("{}: {}", folder.string(), error.message());
  if (isForeign || (!isSpool && !parts.empty()))
    return fail("{}: holds other files than quantc keeps here; move it away", folder.string());
  bool same = false;
  if (isSpool && !fresh) {
    QUANTC_ASSIGN(const std::string known, readText(folder / fingerprintFile));
    same = known == fingerprint;
  }
  foundParts = same ? parts.size() : 0;
  if (!same)
    leftovers.insert(leftovers.end(), parts.begin(), parts.end());
  for (const fs::path &path : leftovers)
    if (!fs::remove(path, error) && error)
      return fail("{}: cannot remove: {}", path.string(), error.message());
  if (same)
    return {};
  QUANTC_ASSIGN(AtomicFile file, AtomicFile::create(folder / fingerprintFile));
  QUANTC_TRY(file.write(fingerprint));
  return file.commit();
}

Result<std::optional<std::span<const std::byte>>> Spool::find(const std::string &name) {
  std::error_code ignored;
  if (!mapped.count(name)) {
    if (!fs::exists(fileOf(name), ignored))
      return std::nullopt;
    QUANTC_ASSIGN(mapped[name], MappedFile::open(fileOf(name)));
  }
  return mapped.at(name)->bytes();
}

Result<std::span<const std::byte>> Spool::put(const std::string &name, std::span<const std::byte> bytes) {
  QUANTC_ASSIGN(AtomicFile file, AtomicFile::create(fileOf(name)));
  QUANTC_TRY(file.write(bytes));
  QUANTC_TRY(file.commit());
  mapped.erase(name);
  QUANTC_ASSIGN(const auto kept, find(name));
  return *kept;
}

Status Spool::drop(const std::string &name) {
  mapped.erase(name);
  std::error_code error;
  fs::remove(fileOf(name), error);
  return error ? fail("{}: cannot remove: {}", fileOf(name).string(), error.message()) : Status();
}

Status Spool::remove() {
  std::error_code error;
  // The fingerprint goes last: without it, what is left would be no spool.
  for (const auto &entry : fs::directory_iterator(folder, error))
    if (isPart(entry.path()))
      fs::remove(entry.path(), error);
  fs::remove(folder / fingerprintFile, error);
  if (!fs::remove(folder, error))
    return fail("{}: finished, but this cannot be removed: {}", folder.string(), error.message());
  return {};
}
