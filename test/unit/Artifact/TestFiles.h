//===- TestFiles.h - files made by tests ------------------------------------------------------------------------===//
#pragma once

#include "quantc/Support/Files.h"
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <sys/mman.h>
#include <unistd.h>

/// A folder that lives as long as the object.
struct TempDirectory {
  std::filesystem::path path;
  TempDirectory() {
    std::string pattern = (std::filesystem::path(testing::TempDir()) / "artifact-XXXXXX").string();
    path = ::mkdtemp(pattern.data());
  }
  ~TempDirectory() { std::filesystem::remove_all(path); }
  std::filesystem::path operator/(const std::string &name) const { return path / name; }
};

inline void writeBytes(const std::filesystem::path &path, const std::string &bytes) {
  std::ofstream file(path, std::ios::binary);
  file << bytes;
  ASSERT_TRUE(file.flush()) << path;
}

inline std::string readBytes(const std::filesystem::path &path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A file without a place in the file system, named "/proc/self/fd/…".
class MemoryFile {
public:
  explicit MemoryFile(std::string_view bytes) : descriptor(::memfd_create("test", MFD_CLOEXEC)) {
    EXPECT_EQ(::write(descriptor, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  ~MemoryFile() { ::close(descriptor); }
  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor); }
  std::shared_ptr<const quantc::MappedFile> map() const { return *quantc::MappedFile::open(path()); }

private:
  int descriptor;
};

/// An error's message without the path before it. Fails the test where it is not one line.
template <typename T> std::string messageOf(const quantc::Result<T> &result, const std::string &path) {
  if (result)
    return "";
  std::string message = result.error().message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  EXPECT_TRUE(message.starts_with(path + ": ")) << message;
  return message.substr(std::min(message.size(), path.size() + 2));
}

inline std::string_view text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}
inline std::span<const std::byte> bytesOf(std::string_view text) {
  return std::as_bytes(std::span(text));
}

/// The folder of outside data, which tests may use but the project does not ship.
inline std::filesystem::path testData() {
  const char *given = std::getenv("QUANTC_TEST_DATA");
  return given ? given : std::filesystem::path(QUANTC_SOURCE_DIR) / ".." / "shared" / "data";
}
