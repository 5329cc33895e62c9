//===- Ceilings.cpp - what a processor computes and reads at most -------------------------------------------------===//

#include "Ceilings.h"
#include "PieceTimes.h"
#include "quantc/Runtime/Cpu.h"
#include "quantc/Runtime/Measure.h"

using namespace quantc;

static double peak(const PeakDot &dot, int threads, int rounds) {
  constexpr int pieces = 20;
  const int64_t ofRun = dot.run(1);
  if (ofRun == 0)
    return 0;
  PieceTimes times(threads, pieces);
  const int64_t chains = 20'000'000 / ofRun * 20;
  for (int r = 0; r < rounds; r++)
    times.round([&](size_t, size_t) { dot.run(chains); });
  return static_cast<double>(ofRun) * static_cast<double>(chains) * pieces * threads / times.seconds();
}

double Ceilings::operations(std::string_view intrinsic, int threads) {
  const auto [found, isNew] = peaks.try_emplace({std::string(intrinsic), threads}, 0);
  if (isNew)
    for (const PeakDot &dot : peakDots())
      if (dot.intrinsic == intrinsic)
        found->second = peak(dot, threads, rounds);
  return found->second;
}

/// Reads 64 bytes, whatever becomes of them.
static void readLine(const std::byte *line, [[maybe_unused]] bool wide) {
#if defined(__x86_64__)
  if (wide)
    asm volatile("vmovdqu64 (%0), %%zmm31" ::"r"(line) : "memory");
  else
    asm volatile(
        "movdqu (%0), %%xmm4\n movdqu 16(%0), %%xmm5\n movdqu 32(%0), %%xmm6\n movdqu 48(%0), %%xmm7" ::"r"(line)
        : "memory", "xmm4", "xmm5", "xmm6", "xmm7");
#elif defined(__aarch64__)
  asm volatile("ldp q4, q5, [%0]\n ldp q6, q7, [%0, #32]" ::"r"(line) : "memory", "v4", "v5", "v6", "v7");
#endif
}

/// Reads the bytes, but for less than 256, as fast as one thread can.
static void readBytes(const std::byte *bytes, size_t count) {
  constexpr size_t streams = 4, step = 64; // one stream waits at the end of each page
  const size_t part = count / streams / step * step;
  const bool wide = cpuHas("avx512f");
  for (size_t i = 0; i < part; i += step)
    for (size_t stream = 0; stream < streams; stream++)
      readLine(bytes + stream * part + i, wide);
}

double Ceilings::reading(std::span<const std::byte> bytes, int threads) const {
  PieceTimes times(threads, 1);
  const size_t part = bytes.size() / threads / 256 * 256;
  for (int r = 0; r < rounds; r++)
    times.round([&](size_t thread, size_t) { readBytes(bytes.data() + thread * part, part); });
  return static_cast<double>(part) * threads / times.seconds();
}
