//===- FilesTest.cpp --------------------------------------------------------------------------------------------===//

#include "quantc/Support/Files.h"
#include "quantc/Support/AtomicDirectory.h"
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

using namespace quantc;
namespace fs = std::filesystem;

namespace {
struct FilesTest : testing::Test {
  fs::path dir = fs::path(testing::TempDir()) / ("files-" + std::to_string(::getpid()));
  void SetUp() override { fs::create_directories(dir); }
  void TearDown() override { fs::remove_all(dir); }
  size_t entries() const { return std::distance(fs::directory_iterator(dir), fs::directory_iterator()); }
};

TEST_F(FilesTest, WhatWasCommittedIsRead) {
  auto file = AtomicFile::create(dir / "a");
  ASSERT_TRUE(file);
  ASSERT_TRUE(file->write("hello, world"));
  ASSERT_TRUE(file->writeAt(0, std::as_bytes(std::span("HELLO", 5))));
  EXPECT_FALSE(fs::exists(dir / "a"));
  ASSERT_TRUE(file->commit());
  EXPECT_EQ(readText(dir / "a").value(), "HELLO, world");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(FilesTest, PiecesOfAnySizeStayInOrder) {
  auto file = AtomicFile::create(dir / "a");
  ASSERT_TRUE(file);
  std::string all;
  for (size_t size : {1u, 3u << 20, 2u << 20, 9u << 20, 5u, 0u, 4u << 20}) {
    const std::string piece(size, static_cast<char>('a' + all.size() % 26));
    all += piece;
    ASSERT_TRUE(file->write(piece));
    EXPECT_EQ(file->position(), all.size());
  }
  ASSERT_TRUE(file->commit());
  EXPECT_EQ(readText(dir / "a").value(), all);
}

TEST_F(FilesTest, NothingIsLeftWithoutCommit) {
  {
    auto file = AtomicFile::create(dir / "a");
    ASSERT_TRUE(file && file->write("x"));
  }
  EXPECT_EQ(entries(), 0u);
}

TEST_F(FilesTest, NothingIsLeftWhereTheNameIsTaken) {
  {
    auto file = AtomicFile::create(dir / "a");
    ASSERT_TRUE(file && file->write("x"));
    fs::create_directories(dir / "a"); // meanwhile: no file can replace a folder
    EXPECT_NE(file->commit().error().message.find("a: cannot finish writing"), std::string::npos);
  }
  EXPECT_EQ(entries(), 1u);
}

TEST_F(FilesTest, AFileIsReplacedWhole) {
  for (const char *text : {"old and long", "new"}) {
    auto file = AtomicFile::create(dir / "a");
    ASSERT_TRUE(file && file->write(text) && file->commit());
    EXPECT_EQ(readText(dir / "a").value(), text);
    EXPECT_EQ(entries(), 1u);
  }
}

TEST_F(FilesTest, WhatAKilledProcessLeftIsRemoved) {
  auto make = [&](const char *name) { return ::open((dir / name).c_str(), O_CREAT | O_RDWR, 0644); };
  ::close(make("a.tmp-stale"));
  ::close(make("ab.tmp-other"));
  const int used = make("a.tmp-used"); // by a process that lives
  ASSERT_EQ(::flock(used, LOCK_EX), 0);
  auto file = AtomicFile::create(dir / "a");
  ASSERT_TRUE(file && file->commit());
  ::close(used);
  EXPECT_FALSE(fs::exists(dir / "a.tmp-stale"));
  EXPECT_TRUE(fs::exists(dir / "ab.tmp-other"));
  EXPECT_TRUE(fs::exists(dir / "a.tmp-used"));
}

TEST_F(FilesTest, OnlyRegularFilesAreReplaced) {
  EXPECT_NE(AtomicFile::create(dir).error().message.find("is a folder"), std::string::npos);
  EXPECT_NE(AtomicFile::create("/dev/null").error().message.find("no regular file"), std::string::npos);
}

TEST_F(FilesTest, AModelIsNotWrittenOverItself) {
  for (const char *name : {"a", "b"}) {
    auto file = AtomicFile::create(dir / name);
    ASSERT_TRUE(file && file->commit());
  }
  fs::create_symlink(dir / "a", dir / "link");
  EXPECT_FALSE(checkOutput(dir / "a", dir / "a"));
  EXPECT_FALSE(checkOutput(dir / "link", dir / "a"));
  EXPECT_FALSE(checkOutput(dir / "b", dir));
  EXPECT_TRUE(checkOutput(dir / "b", dir / "a"));
  EXPECT_TRUE(checkOutput(dir / "new", dir));
}

TEST_F(FilesTest, UnnamedFilesLeaveNothing) {
  auto descriptor = openUnnamed(dir);
  ASSERT_TRUE(descriptor);
  EXPECT_EQ(::write(*descriptor, "x", 1), 1);
  EXPECT_EQ(entries(), 0u);
  ::close(*descriptor);
  EXPECT_NE(openUnnamed(dir / "none").error().message.find("cannot write here"), std::string::npos);
}

TEST_F(FilesTest, DirectoriesAppearWhole) {
  auto text = [](const fs::path &path, const char *content) {
    auto file = AtomicFile::create(path);
    ASSERT_TRUE(file && file->write(content) && file->commit());
  };
  { // dropped
    auto directory = AtomicDirectory::create(dir / "a");
    ASSERT_TRUE(directory);
    text(directory->folder() / "file", "x");
    EXPECT_FALSE(fs::exists(dir / "a"));
  }
  EXPECT_EQ(entries(), 0u);
  // What a killed process has left: nobody holds its lock.
  fs::create_directory(dir / "a.tmp-123456");
  text(dir / "a.tmp-123456" / "file", "x");
  auto directory = AtomicDirectory::create(dir / "a/");
  ASSERT_TRUE(directory);
  EXPECT_EQ(entries(), 1u);
  auto second = AtomicDirectory::create(dir / "a"); // takes nothing away from the first
  ASSERT_TRUE(second);
  EXPECT_EQ(entries(), 2u);
  text(directory->folder() / "file", "whole");
  ASSERT_TRUE(directory->commit());
  EXPECT_EQ(readText(dir / "a" / "file").value(), "whole");
  EXPECT_NE(second->commit().error().message.find("cannot finish writing"), std::string::npos);
  EXPECT_NE(AtomicDirectory::create(dir / "a").error().message.find("is there already"), std::string::npos);
  EXPECT_NE(AtomicDirectory::create(dir / "no" / "such").error().message.find("cannot write here"), std::string::npos);
  fs::create_directory(dir / "empty");
  auto replaced = AtomicDirectory::create(dir / "empty");
  ASSERT_TRUE(replaced && replaced->commit());
}

TEST_F(FilesTest, ErrorsNameThePath) {
  EXPECT_NE(MappedFile::open(dir / "none").error().message.find("none: cannot open"), std::string::npos);
  EXPECT_NE(MappedFile::open(dir).error().message.find("not a regular file"), std::string::npos);
  EXPECT_NE(AtomicFile::create(dir / "no" / "such").error().message.find("cannot write here"), std::string::npos);
}

TEST_F(FilesTest, EmptyFilesAreRead) {
  auto file = AtomicFile::create(dir / "a");
  ASSERT_TRUE(file && file->commit());
  EXPECT_TRUE(MappedFile::open(dir / "a").value()->bytes().empty());
  EXPECT_EQ(readText(dir / "a").value(), "");
}

TEST_F(FilesTest, LimitsAreKept) {
  auto file = AtomicFile::create(dir / "a");
  ASSERT_TRUE(file && file->write("0123456789") && file->commit());
  EXPECT_FALSE(readText(dir / "a", 9));
  EXPECT_TRUE(readText(dir / "a", 10));
}
} // namespace
