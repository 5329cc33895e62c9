//===- StaleFiles.cpp - what killed processes left --------------------------------------------------------------===//

#include "StaleFiles.h"
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace fs = std::filesystem;

void quantc::removeStale(const fs::path &path) {
  const std::string prefix = path.filename().string() + ".tmp-";
  std::error_code ignored;
  for (const auto &entry : fs::directory_iterator(path.has_parent_path() ? path.parent_path() : ".", ignored)) {
    if (!entry.path().filename().string().starts_with(prefix))
      continue;
    const int fd = ::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0 && ::flock(fd, LOCK_EX | LOCK_NB) == 0)
      fs::remove_all(entry.path(), ignored);
    if (fd >= 0)
      ::close(fd);
  }
}
