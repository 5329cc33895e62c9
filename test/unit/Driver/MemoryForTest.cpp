//===- MemoryForTest.cpp - what a budget of memory, or none, allows ----------------------------------------------===//

#include "WeightsPlan.h"
#include <gmock/gmock.h>

using namespace quantc;
using testing::HasSubstr;

namespace {

struct MemoryFor : testing::Test {
  std::vector<std::string> notes;
  Result<uint64_t> of(uint64_t given, uint64_t free) {
    return memoryFor(given, free, /*least=*/100'000'000, /*threads=*/2,
                     [&](const std::string &line) { notes.push_back(line); });
  }
};

TEST_F(MemoryFor, ABudgetIsKept) {
  EXPECT_EQ(of(100'000'000, 1), 100'000'000u) << "whatever is free";
  EXPECT_EQ(of(500'000'000, 1'000'000'000), 500'000'000u);
  const auto small = of(90'000'000, 1'000'000'000);
  ASSERT_FALSE(small);
  EXPECT_EQ(small.error().message,
            "a memory budget of 90 MB is too small: this takes at least 100 MB (2 threads; fewer take less)");
  EXPECT_TRUE(notes.empty());
}

TEST_F(MemoryFor, WithoutOneWhatIsFreeIsTaken) {
  EXPECT_EQ(of(0, 700'000'000), 700'000'000u);
  EXPECT_TRUE(notes.empty());
}

/// Nobody gave a budget that could be too small: it is tried, and said.
TEST_F(MemoryFor, WithoutOneTheLeastIsTried) {
  EXPECT_EQ(of(0, 40'000'000), 100'000'000u);
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_THAT(notes[0], HasSubstr("takes at least 100 MB of memory with 2 threads, 40 MB are free"));
  EXPECT_TRUE(memoryFor(0, 1, 2, 1, nullptr)) << "nobody need listen";
}

} // namespace
