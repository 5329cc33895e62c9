//===- PeakDot.cpp - the most that the byte dot product of this processor can do --------------------------------===//

#include "PeakDot.h"
#include <immintrin.h>

/// 16 chains in registers, each step kept from being folded.
__attribute__((target("avx512f,avx512vnni"))) static void chains(int64_t rounds) {
  const __m512i a = _mm512_set1_epi8(1), b = _mm512_set1_epi8(2), zero = _mm512_setzero_si512();
  __m512i s0 = zero, s1 = zero, s2 = zero, s3 = zero, s4 = zero, s5 = zero, s6 = zero, s7 = zero, s8 = zero, s9 = zero,
          s10 = zero, s11 = zero, s12 = zero, s13 = zero, s14 = zero, s15 = zero;
  auto step = [&](__m512i &sum) __attribute__((target("avx512f,avx512vnni"), always_inline)) {
    sum = _mm512_dpbusd_epi32(sum, a, b);
    asm volatile("" : "+v"(sum));
  };
  for (int64_t r = 0; r < rounds; r++) {
    step(s0), step(s1), step(s2), step(s3), step(s4), step(s5), step(s6), step(s7);
    step(s8), step(s9), step(s10), step(s11), step(s12), step(s13), step(s14), step(s15);
  }
}

int64_t runPeakDot(int64_t rounds) {
  if (!__builtin_cpu_supports("avx512vnni"))
    return 0;
  chains(rounds);
  return rounds * 16 * 64 * 2;
}
