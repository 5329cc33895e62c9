//===- ForkJoin.cpp - what a launch costs -----------------------------------------------------------------------===//
//
// Prints for 1 thread to all processors the time of one fork/join and the bandwidth of reads:
//   fork-join [MAX_THREADS]
//
// "rendezvous": as many tasks as threads, each of which waits until all have begun, so that every thread must take
// part; the other rows are empty tasks, which threads that come late need not join.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "quantc/Runtime/Cpu.h"
#include "quantc/Runtime/Measure.h"
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <vector>

using namespace quantc;

static void doNothing(const int64_t *, int64_t, int64_t) {}

/// args: std::atomic<int64_t> count of tasks begun, over all launches; tasks of one launch.
static void rendezvous(const int64_t *args, int64_t, int64_t) {
  auto &begun = *reinterpret_cast<std::atomic<int64_t> *>(args[0]);
  const int64_t all = begun.fetch_add(1) / args[1] * args[1] + args[1];
  while (begun.load() < all)
    ;
}

static void measure(ThreadPool &pool, const char *name, KernelFunction kernel, int64_t tasks) {
  std::atomic<int64_t> begun = 0;
  const int64_t args[] = {reinterpret_cast<int64_t>(&begun), tasks};
  using Clock = std::chrono::steady_clock;
  std::vector<double> times(20000);
  for (double &time : times) {
    const auto start = Clock::now();
    pool.run(kernel, args, tasks);
    time = std::chrono::duration<double, std::micro>(Clock::now() - start).count();
  }
  std::ranges::sort(times);
  fmt::print("{} threads, {}, {} tasks: median {:.2f} us, 99 % {:.2f} us, worst {:.0f} us\n", pool.threads(), name,
             tasks, times[times.size() / 2], times[times.size() * 99 / 100], times.back());
}

static Status benchmark(unsigned maxThreads) {
  const size_t cache = std::max<size_t>(lastLevelCacheBytes(), 4 << 20);
  fmt::print("{}, {} processors\n", cpuName(), availableProcessors());
  for (unsigned threads = 1; threads <= maxThreads; ++threads) {
    QUANTC_ASSIGN(const auto pool, ThreadPool::create(threads));
    measure(*pool, "rendezvous", rendezvous, threads);
    for (int64_t tasks : {32, 1024})
      measure(*pool, "empty", doNothing, tasks);
    QUANTC_ASSIGN(const double fromCache, readBandwidth(*pool, cache / 4));
    QUANTC_ASSIGN(const double fromMemory, readBandwidth(*pool, cache * 8));
    fmt::print("{} threads: cache {:.1f} GB/s, memory {:.1f} GB/s\n", threads, fromCache / 1e9, fromMemory / 1e9);
  }
  return {};
}

int main(int argc, char **argv) {
  const Status status = benchmark(argc > 1 ? std::max(1, std::atoi(argv[1])) : availableProcessors());
  if (!status)
    fmt::print(stderr, "{}\n", status.error().message);
  return status ? 0 : 1;
}
