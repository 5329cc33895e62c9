#include "quantc/Runtime/ThreadPool.h"
#include "quantc/Runtime/Cpu.h"
#include <atomic>
#include <chrono>
#include <gtest/gtest.h>
#include <numeric>
#include <thread>
#include <vector>

using namespace quantc;

namespace {

/// args: how often each task ran.
void countTasks(const int64_t *args, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i)
    ++reinterpret_cast<int32_t *>(args[0])[i];
}

/// args: std::atomic<int64_t>, std::thread::id; the task 0 waits until all others have run.
void holdFirstTask(const int64_t *args, int64_t begin, int64_t end) {
  auto &others = *reinterpret_cast<std::atomic<int64_t> *>(args[0]);
  for (int64_t i = begin; i < end; ++i) {
    if (i != 0) {
      ++others;
      continue;
    }
    while (others < args[1])
      std::this_thread::yield();
  }
}

void recordThread(const int64_t *args, int64_t begin, int64_t end) {
  if (std::this_thread::get_id() != *reinterpret_cast<std::thread::id *>(args[0]))
    ++*reinterpret_cast<std::atomic<int64_t> *>(args[1]);
}

std::unique_ptr<ThreadPool> pool(unsigned threads) {
  auto created = ThreadPool::create(threads);
  EXPECT_TRUE(created) << created.error().message;
  return std::move(*created);
}

} // namespace

class ThreadPoolOf : public ::testing::TestWithParam<unsigned> {};

TEST_P(ThreadPoolOf, RunsEachTaskOnce) {
  const auto workers = pool(GetParam());
  EXPECT_EQ(workers->threads(), GetParam());
  for (int64_t tasks : {0, 1, 2, 3, 31, 32, 33, 1000, 65537}) {
    std::vector<int32_t> counts(tasks);
    const int64_t args[] = {reinterpret_cast<int64_t>(counts.data())};
    workers->run(countTasks, args, tasks);
    EXPECT_EQ(counts, std::vector<int32_t>(tasks, 1));
  }
}

// Jobs that follow each other closely, of different sizes: a worker that comes late must not take part in the wrong
// one.
TEST_P(ThreadPoolOf, RunsManyShortJobs) {
  const auto workers = pool(GetParam());
  std::vector<int32_t> counts(64);
  const int64_t args[] = {reinterpret_cast<int64_t>(counts.data())};
  std::vector<int32_t> expected(64);
  for (int64_t job = 0; job < 20000; ++job) {
    const int64_t tasks = 1 + job * 37 % 64;
    workers->run(countTasks, args, tasks);
    for (int64_t i = 0; i < tasks; ++i)
      ++expected[i];
    if (job % 5000 == 0) // let the workers fall asleep
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  EXPECT_EQ(counts, expected);
}

INSTANTIATE_TEST_SUITE_P(Threads, ThreadPoolOf, ::testing::Values(1, 2, 3, 8));

TEST(ThreadPool, OneThreadStartsNone) {
  std::atomic<int64_t> elsewhere = 0;
  auto here = std::this_thread::get_id();
  const int64_t args[] = {reinterpret_cast<int64_t>(&here), reinterpret_cast<int64_t>(&elsewhere)};
  pool(1)->run(recordThread, args, 1000);
  EXPECT_EQ(elsewhere, 0);
}

// The thread that holds task 0 would wait for ever if it had claimed all tasks, or if shares were fixed.
TEST(ThreadPool, DisturbedThreadHoldsBackOnlyItsChunk) {
  const auto workers = pool(2);
  constexpr int64_t tasks = 1000, chunk = tasks / (2 * 16);
  std::atomic<int64_t> others = 0;
  const int64_t args[] = {reinterpret_cast<int64_t>(&others), tasks - chunk};
  workers->run(holdFirstTask, args, tasks);
  EXPECT_EQ(others, tasks - 1);
}

TEST(ThreadPool, DefaultIsOneThreadPerProcessor) {
  EXPECT_EQ(pool(0)->threads(), availableProcessors());
}

TEST(ThreadPool, RefusesTooManyThreads) {
  const auto refused = ThreadPool::create(100000);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "100000 threads asked for; at most 1024 are possible");
}
