//===- Measure.cpp - what the machine can read and compute -------------------------------------------------------===//

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

//===- Arithmetic -----------------------------------------------------------------------------------------------===//

constexpr int64_t taskRounds = 20000, chains = 12, lanes = 16;
typedef float Vector __attribute__((vector_size(64), aligned(64)));

/// Independent sums, so many that none waits for another.
template <bool fused> [[gnu::always_inline]] inline float runChains(float factor) {
  const Vector a = factor - Vector{};
  Vector sums[chains] = {};
  for (int64_t round = 0; round < taskRounds; ++round)
#pragma clang loop unroll(full)
    for (Vector &sum : sums)
      sum = fused ? __builtin_elementwise_fma(sum, a, a) : sum * a + a;
  Vector total = {};
  for (const Vector &sum : sums)
    total += sum;
  return total[0];
}

#ifdef __x86_64__
[[gnu::target("avx512f")]] float chains512(float factor) {
  return runChains<true>(factor);
}
[[gnu::target("avx2,fma")]] float chains256(float factor) {
  return runChains<true>(factor);
}
#endif
float chainsBaseline(float factor) {
  return runChains<false>(factor);
}

/// args: a factor, and where a sum goes, so that nothing can be left out.
void arithmeticTasks(const int64_t *args, int64_t begin, int64_t end) {
  auto run = chainsBaseline;
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx512f"))
    run = chains512;
  else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    run = chains256;
#endif
  for (; begin != end; ++begin)
    if (run(*reinterpret_cast<const float *>(args[0])) < 0)
      reinterpret_cast<std::atomic<uint64_t> *>(args[1])->fetch_add(1, std::memory_order_relaxed);
}

} // namespace

double quantc::bestRate(ThreadPool &pool, KernelFunction kernel, const int64_t *args, int64_t tasks, double units,
                        double seconds) {
  using Clock = std::chrono::steady_clock;
  double best = 0, elapsed = 0;
  do {
    const auto start = Clock::now();
    pool.run(kernel, args, tasks);
    const double pass = std::chrono::duration<double>(Clock::now() - start).count();
    best = std::max(best, units / pass);
    elapsed += pass;
  } while (elapsed < seconds);
  return best;
}

double quantc::medianOf(std::vector<double> values) {
  std::ranges::sort(values);
  return values.empty() ? 0 : values[values.size() / 2];
}

double quantc::arithmeticPeak(ThreadPool &pool, double seconds) {
  std::atomic<uint64_t> sink = 0;
  const float factor = 0.5f;
  const int64_t args[] = {reinterpret_cast<int64_t>(&factor), reinterpret_cast<int64_t>(&sink)};
  const int64_t tasks = pool.threads();
  return bestRate(pool, arithmeticTasks, args, tasks, 2.0 * double(tasks * taskRounds * chains * lanes), seconds);
}

Result<double> quantc::readBandwidth(ThreadPool &pool, size_t bytes, double seconds) {
  const int64_t tasks = static_cast<int64_t>(bytes / taskBytes);
  if (tasks == 0 || tasks > ThreadPool::maxTasks)
    return fail("cannot measure reads of {} bytes; give at least {}", bytes, taskBytes);
  QUANTC_ASSIGN(const Memory memory, Memory::allocate(tasks * taskBytes));
  // Pages that were never written are all the same page of zeros.
  std::memset(memory.data(), 1, memory.size());

  std::atomic<uint64_t> sink = 0;
  const int64_t args[] = {reinterpret_cast<int64_t>(memory.data()), reinterpret_cast<int64_t>(&sink)};
  return bestRate(pool, readTasks, args, tasks, static_cast<double>(memory.size()), seconds);
}

Result<double> quantc::memoryBandwidth(ThreadPool &pool) {
  return readBandwidth(pool, std::clamp<size_t>(8 * lastLevelCacheBytes(), size_t(256) << 20, size_t(1) << 30));
}

std::vector<int32_t> quantc::someTokens(int64_t count, int64_t vocab) {
  std::vector<int32_t> tokens;
  for (uint64_t i = 0, s = 1; i < uint64_t(count); i++) {
    s = s * 6364136223846793005u + 1442695040888963407u;
    tokens.push_back(int32_t((s >> 33) % uint64_t(vocab)));
  }
  return tokens;
}

size_t quantc::lastLevelCacheBytes() {
  for (int level : {_SC_LEVEL4_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE, _SC_LEVEL2_CACHE_SIZE})
    if (const long size = ::sysconf(level); size > 0)
      return static_cast<size_t>(size);
  return 0;
}
