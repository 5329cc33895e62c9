//===- ParallelTest.cpp -----------------------------------------------------------------------------------------===//

#include "quantc/Support/Parallel.h"
#include <atomic>
#include <gtest/gtest.h>
#include <stdexcept>
#include <vector>

using namespace quantc;

TEST(Parallel, EachItemIsDoneOnce) {
  for (unsigned threads : {0u, 1u, 2u, 7u})
    for (size_t count : {0u, 1u, 2u, 100u}) {
      std::vector<std::atomic<int>> times(count);
      parallelFor(count, threads, [&](size_t i) { times[i]++; });
      for (const auto &n : times)
        EXPECT_EQ(n, 1);
    }
}

TEST(Parallel, AnExceptionComesToTheCaller) {
  for (unsigned threads : {1u, 3u})
    EXPECT_THROW(parallelFor(100, threads, [](size_t i) { i == 40 ? throw std::runtime_error("x") : void(); }),
                 std::runtime_error);
}
