//===- PeakDot.cpp - the most that the dot products of this processor can do ------------------------------------===//

#include "quantc/Runtime/Cpu.h"
#include "quantc/Runtime/Measure.h"

using namespace quantc;

#ifdef __x86_64__

#define SIXTEEN(step)                                                                                                  \
  step(0) step(1) step(2) step(3) step(4) step(5) step(6) step(7) step(8) step(9) step(10) step(11) step(12) step(13)  \
      step(14) step(15)

/// 16 chains in registers: the instruction adds to zmm0 … zmm15 what zmm30 and zmm31 give, or replaces them by it.
#define CHAINS(name, instruction)                                                                                      \
  __attribute__((target("avx512f"))) static void name(int64_t rounds) {                                                \
    asm volatile("vzeroall\n vpxord %%zmm30, %%zmm30, %%zmm30\n vpxord %%zmm31, %%zmm31, %%zmm31\n"                    \
                 "1:\n" SIXTEEN(instruction) "dec %0\n jnz 1b\n"                                                       \
                 : "+r"(rounds)::"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",       \
                   "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm30", "xmm31", "cc");                      \
  }
#define FUSED(i) "vfmadd231ps %%zmm30, %%zmm31, %%zmm" #i "\n"
#define BYTES(i) "vpdpbusd %%zmm30, %%zmm31, %%zmm" #i "\n"
#define HALVES(i) "vdpbf16ps %%zmm30, %%zmm31, %%zmm" #i "\n"
#define BYTE_PAIRS(i) "vpmaddubsw %%zmm30, %%zmm31, %%zmm" #i "\n"
CHAINS(fusedChains, FUSED)
CHAINS(byteChains, BYTES)
CHAINS(halfChains, HALVES)
CHAINS(bytePairChains, BYTE_PAIRS)

/// The same of 256 bits, with ymm14 and ymm15 and 14 chains.
#define FOURTEEN(step)                                                                                                 \
  step(0) step(1) step(2) step(3) step(4) step(5) step(6) step(7) step(8) step(9) step(10) step(11) step(12) step(13)
#define NARROW_CHAINS(name, instruction)                                                                               \
  __attribute__((target("avx2"))) static void name(int64_t rounds) {                                                   \
    asm volatile("vzeroall\n 1:\n" FOURTEEN(instruction) "dec %0\n jnz 1b\n"                                           \
                 : "+r"(rounds)::"xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",       \
                   "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc");                                        \
  }
#define NARROW_BYTES(i) "%{vex%} vpdpbusd %%ymm14, %%ymm15, %%ymm" #i "\n"
#define NARROW_BYTE_PAIRS(i) "vpmaddubsw %%ymm14, %%ymm15, %%ymm" #i "\n"
NARROW_CHAINS(narrowByteChains, NARROW_BYTES)
NARROW_CHAINS(narrowBytePairChains, NARROW_BYTE_PAIRS)

static int64_t runFused(int64_t rounds) {
  if (!cpuHas("avx512f"))
    return 0;
  fusedChains(rounds);
  return rounds * 16 * 16 * 2;
}

static int64_t runBytes(int64_t rounds) {
  if (!cpuHas("avx512vnni"))
    return 0;
  byteChains(rounds);
  return rounds * 16 * 64 * 2;
}

static int64_t runHalves(int64_t rounds) {
  if (!cpuHas("avx512bf16"))
    return 0;
  halfChains(rounds);
  return rounds * 16 * 32 * 2;
}

static int64_t runBytePairs(int64_t rounds) {
  if (!cpuHas("avx512bw"))
    return 0;
  bytePairChains(rounds);
  return rounds * 16 * 64 * 2;
}

static int64_t runNarrowBytes(int64_t rounds) {
  if (!cpuHas("avxvnni"))
    return 0;
  narrowByteChains(rounds);
  return rounds * 14 * 32 * 2;
}

static int64_t runNarrowBytePairs(int64_t rounds) {
  if (!cpuHas("avx2"))
    return 0;
  narrowBytePairChains(rounds);
  return rounds * 14 * 32 * 2;
}

/// Palette 1, eight tiles of 16 rows of 64 bytes (Intel SDM volume 1, 18.2).
struct alignas(64) TileConfiguration {
  uint8_t palette = 1, start = 0, reserved[14] = {};
  uint16_t columnBytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

/// Four chains of products of 16 x 64 bytes.
#define TILES(instruction)                                                                                             \
  TileConfiguration tiles;                                                                                             \
  asm volatile("ldtilecfg (%1)\n"                                                                                      \
               "1:\n" instruction " %%tmm6, %%tmm4, %%tmm0\n" instruction " %%tmm7, %%tmm4, %%tmm1\n" instruction      \
               " %%tmm6, %%tmm5, %%tmm2\n" instruction " %%tmm7, %%tmm5, %%tmm3\n"                                     \
               "dec %0\n jnz 1b\n tilerelease\n"                                                                       \
               : "+r"(rounds)                                                                                          \
               : "r"(&tiles)                                                                                           \
               : "cc", "memory");

static int64_t runByteTiles(int64_t rounds) {
  if (!cpuHas("amx-int8"))
    return 0;
  const int64_t operations = rounds * 4 * 16 * 16 * 64 * 2;
  TILES("tdpbsud")
  return operations;
}

static int64_t runHalfTiles(int64_t rounds) {
  if (!cpuHas("amx-bf16"))
    return 0;
  const int64_t operations = rounds * 4 * 16 * 16 * 32 * 2;
  TILES("tdpbf16ps")
  return operations;
}

#endif

std::span<const PeakDot> quantc::peakDots() {
#ifdef __x86_64__
  static constexpr PeakDot dots[] = {{"f32 fused multiply-add", "f32", runFused},
                                     {"vpdpbusd", "llvm.x86.avx512.vpdpbusd.512", runBytes},
                                     {"vdpbf16ps", "llvm.x86.avx512bf16.dpbf16ps.512", runHalves},
                                     {"tdpbsud", "llvm.x86.tdpbsud.internal", runByteTiles},
                                     {"tdpbf16ps", "llvm.x86.tdpbf16ps.internal", runHalfTiles},
                                     {"vpmaddubsw", "llvm.x86.avx512.pmaddubs.w.512", runBytePairs},
                                     {"vpdpbusd of 256 bits", "llvm.x86.avx512.vpdpbusd.256", runNarrowBytes},
                                     {"vpmaddubsw of 256 bits", "llvm.x86.avx2.pmadd.ub.sw", runNarrowBytePairs}};
  return dots;
#else
  return {};
#endif
}

/// args: the PeakDot, and rounds of a task.
static void dotTasks(const int64_t *args, int64_t begin, int64_t end) {
  for (; begin != end; ++begin)
    reinterpret_cast<const PeakDot *>(args[0])->run(args[1]);
}

double quantc::peakOf(const PeakDot &dot, ThreadPool &pool, double seconds) {
  const int64_t ofRound = dot.run(1);
  if (ofRound == 0)
    return 0;
  constexpr int64_t taskOperations = 1'000'000'000; // some milliseconds, beside which waking threads is little
  const int64_t rounds = taskOperations / ofRound + 1, tasks = pool.threads();
  const int64_t args[] = {reinterpret_cast<int64_t>(&dot), rounds};
  return bestRate(pool, dotTasks, args, tasks, double(ofRound) * double(rounds) * double(tasks), seconds);
}
