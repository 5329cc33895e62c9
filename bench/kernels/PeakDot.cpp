//===- PeakDot.cpp - the most that the dot products of this processor can do ------------------------------------===//

#include "PeakDot.h"
#include "quantc/Runtime/Cpu.h"
#include <immintrin.h>

using quantc::cpuHas;

#define SIXTEEN(step)                                                                                                  \
  step(0) step(1) step(2) step(3) step(4) step(5) step(6) step(7) step(8) step(9) step(10) step(11) step(12) step(13)  \
      step(14) step(15)

/// 16 chains in registers: the instruction adds to zmm0 … zmm15 what zmm30 and zmm31 give.
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
CHAINS(fusedChains, FUSED)
CHAINS(byteChains, BYTES)
CHAINS(halfChains, HALVES)

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

void readBytes(const std::byte *bytes, size_t count) {
  constexpr size_t streams = 4, step = 64; // one stream waits at the end of each page
  const size_t part = count / streams / step * step;
  const bool wide = cpuHas("avx512f");
  for (size_t i = 0; i < part; i += step)
    for (size_t stream = 0; stream < streams; stream++) {
      const std::byte *line = bytes + stream * part + i;
      if (wide)
        asm volatile("vmovdqu64 (%0), %%zmm31" ::"r"(line) : "memory");
      else
        asm volatile(
            "movdqu (%0), %%xmm4\n movdqu 16(%0), %%xmm5\n movdqu 32(%0), %%xmm6\n movdqu 48(%0), %%xmm7" ::"r"(line)
            : "memory", "xmm4", "xmm5", "xmm6", "xmm7");
    }
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

std::span<const PeakDot> peakDots() {
  static constexpr PeakDot dots[] = {{"f32 fused multiply-add", runFused},
                                     {"vpdpbusd", runBytes},
                                     {"vdpbf16ps", runHalves},
                                     {"tdpbsud", runByteTiles},
                                     {"tdpbf16ps", runHalfTiles}};
  return dots;
}
