//===- Measure.cpp - what the machine can read ------------------------------------------------------------------===//

#include "quantc/Runtime/Measure.h"
#include "quantc/Runtime/Memory.h"
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <unistd.h>

using namespace quantc;

namespace {

constexpr int64_t taskBytes = 128 << 10;
typedef uint64_t Line __attribute__((vector_size(64), aligned(64)));

/// args: the memory, and a std::atomic<uint64_t> that takes the sum, so that no read can be left out.
void readTasks(const int64_t *args, int64_t begin, int64_t end) {
  const Line *line = reinterpret_cast<const Line *>(args[0] + begin * taskBytes);
  const Line *const last = reinterpret_cast<const Line *>(args[0] + end * taskBytes);
  Line sums[4] = {};
  for (; line != last; line += 4)
    for (int i = 0; i < 4; ++i)
      sums[i] += line[i];
  const Line sum = sums[0] + sums[1] + sums[2] + sums[3];
  reinterpret_cast<std::atomic<uint64_t> *>(args[1])->fetch_add(sum[0], std::memory_order_relaxed);
}

} // namespace

Result<double> quantc::readBandwidth(ThreadPool &pool, size_t bytes, double seconds) {
  const int64_t tasks = static_cast<int64_t>(bytes / taskBytes);
  if (tasks == 0 || tasks > ThreadPool::maxTasks)
    return fail("cannot measure reads of {} bytes; give at least {}", bytes, taskBytes);
  QUANTC_ASSIGN(const Memory memory, Memory::allocate(tasks * taskBytes));
  // Pages that were never written are all the same page of zeros.
  std::memset(memory.data(), 1, memory.size());

  std::atomic<uint64_t> sink = 0;
  const int64_t args[] = {reinterpret_cast<int64_t>(memory.data()), reinterpret_cast<int64_t>(&sink)};
  using Clock = std::chrono::steady_clock;
  double best = 0, elapsed = 0;
  do {
    const auto start = Clock::now();
    pool.run(readTasks, args, tasks);
    const double pass = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, static_cast<double>(memory.size()) / pass);
    elapsed += pass;
  } while (elapsed < seconds);
  return best;
}

size_t quantc::lastLevelCacheBytes() {
  for (int level : {_SC_LEVEL4_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE, _SC_LEVEL2_CACHE_SIZE})
    if (const long size = ::sysconf(level); size > 0)
      return static_cast<size_t>(size);
  return 0;
}
