//===- WorkspaceTest.cpp - memory up to a limit, then disk ------------------------------------------------------===//

#include "quantc/Support/Workspace.h"
#include <gmock/gmock.h>
#include <numeric>
#include <vector>

using namespace quantc;
using Array = std::pmr::vector<uint64_t>;

static constexpr size_t count = Workspace::large / sizeof(uint64_t); ///< of numbers in the smallest large array

TEST(Workspace, PutsIntoFilesWhatIsBeyondItsLimit) {
  Workspace workspace(testing::TempDir(), 2 * Workspace::large);
  {
    Array first(count, &workspace), second(count, &workspace);
    EXPECT_EQ(workspace.peakDisk(), 0u);
    Array third(3 * count, &workspace);
    std::iota(third.begin(), third.end(), 7);
    EXPECT_EQ(third[3 * count - 1], 3 * count + 6);
    EXPECT_EQ(workspace.peakDisk(), 3 * Workspace::large);
  }
  // What was given back can be had again.
  Array again(2 * count, &workspace);
  EXPECT_EQ(workspace.peakMemory(), 2 * Workspace::large);
  EXPECT_EQ(workspace.peakDisk(), 3 * Workspace::large);
}

TEST(Workspace, LeavesSmallArraysOnTheHeap) {
  Workspace workspace(testing::TempDir(), 0);
  const Array numbers(count - 1, 3, &workspace);
  EXPECT_EQ(numbers.back(), 3u);
  EXPECT_EQ(workspace.peakMemory() + workspace.peakDisk(), 0u);
}

TEST(Workspace, SaysWhereThereIsNoRoom) {
  Workspace workspace("/no/such/folder", 0);
  const Status status = Workspace::guard([&]() -> Status {
    const Array numbers(count, &workspace);
    return {};
  });
  ASSERT_FALSE(status.has_value());
  EXPECT_THAT(status.error().message, testing::StartsWith("no memory left: /no/such/folder: cannot write here"));
}
