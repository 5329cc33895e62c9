//===- PeakDot.cpp - the most that the byte dot product of this processor can do ----------------------------------===//

#include "PeakDot.h"
#include <immintrin.h>

__attribute__((target("avx512f,avx512vnni"))) static void chains(int64_t rounds) {
  __m512i sums[16], a = _mm512_set1_epi8(1), b = _mm512_set1_epi8(2);
  for (__m512i &sum : sums)
    sum = _mm512_setzero_si512();
  for (int64_t r = 0; r < rounds; r++)
    for (__m512i &sum : sums) {
      sum = _mm512_dpbusd_epi32(sum, a, b);
      asm volatile("" : "+v"(sum)); // keeps the chain
    }
}

int64_t runPeakDot(int64_t rounds) {
  if (!__builtin_cpu_supports("avx512vnni"))
    return 0;
  chains(rounds);
  return rounds * 16 * 64 * 2;
}
