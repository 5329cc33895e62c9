//===- SpoolTest.cpp - finished parts outlive their process ------------------------------------------------------===//

#include "quantc/Support/Spool.h"
#include <fstream>
#include <gmock/gmock.h>
#include <unistd.h>

using namespace quantc;
using testing::HasSubstr;
namespace fs = std::filesystem;

namespace {

struct SpoolTest : testing::Test {
  fs::path folder = fs::path(testing::TempDir()) / ("spool-" + std::to_string(::getpid()));
  ~SpoolTest() override { fs::remove_all(folder); }

  static std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }
  static std::string find(Spool &spool, const std::string &name) {
    auto found = spool.find(name);
    EXPECT_TRUE(found) << found.error().message;
    return found && *found ? std::string(reinterpret_cast<const char *>((*found)->data()), (*found)->size()) : "none";
  }
};

TEST_F(SpoolTest, KeepsPartsOfTheSameWork) {
  {
    auto spool = *Spool::open(folder, "work", false);
    EXPECT_EQ(spool->found(), 0u);
    EXPECT_EQ(find(*spool, "a.b"), "none");
    ASSERT_TRUE(spool->put("a.b", bytes("first")));
    ASSERT_TRUE(spool->put("a.b", bytes("second")));
    ASSERT_TRUE(spool->put("empty", {}));
    EXPECT_EQ(find(*spool, "a.b"), "second");
  }
  {
    auto spool = *Spool::open(folder, "work", false);
    EXPECT_EQ(spool->found(), 2u);
    EXPECT_EQ(find(*spool, "a.b"), "second");
    EXPECT_EQ(find(*spool, "empty"), "");
  }
  {
    auto spool = *Spool::open(folder, "other work", false);
    EXPECT_EQ(spool->found(), 0u);
    EXPECT_EQ(find(*spool, "a.b"), "none");
    ASSERT_TRUE(spool->put("c", bytes("third")));
  }
  {
    auto spool = *Spool::open(folder, "other work", true);
    EXPECT_EQ(find(*spool, "c"), "none");
    ASSERT_TRUE(spool->put("d", bytes("fourth")));
    ASSERT_TRUE(spool->put("e", bytes("fifth")));
    ASSERT_TRUE(spool->drop("e"));
    EXPECT_EQ(find(*spool, "e"), "none");
    EXPECT_TRUE(spool->drop("e")) << "it is gone already";
    ASSERT_TRUE(spool->remove());
  }
  EXPECT_FALSE(fs::exists(folder));
}

TEST_F(SpoolTest, IsUsedByOneProcess) {
  auto spool = *Spool::open(folder, "work", false);
  EXPECT_THAT(Spool::open(folder, "work", false).error().message, HasSubstr("another process works on this output"));
}

TEST_F(SpoolTest, LeavesOtherFilesAlone) {
  fs::create_directory(folder);
  std::ofstream(folder / "letter.txt") << "dear";
  EXPECT_THAT(Spool::open(folder, "work", true).error().message, HasSubstr("holds other files"));
  EXPECT_TRUE(fs::exists(folder / "letter.txt"));
  fs::rename(folder / "letter.txt", folder / "letter.part");
  EXPECT_THAT(Spool::open(folder, "work", true).error().message, HasSubstr("holds other files"));
  EXPECT_THAT(Spool::open(folder / "letter.part", "work", true).error().message, HasSubstr("letter.part"));
  EXPECT_THAT(Spool::open(folder / "no" / "folder", "work", true).error().message, HasSubstr("cannot keep"));
}

} // namespace
