//===- Measure.h - what the machine can read and compute ---------------------------------------------------------===//
#pragma once

#include "quantc/Runtime/ThreadPool.h"
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

namespace quantc {

/// Bytes per second at which the pool's threads together read `bytes` of memory over and over, the best pass of about
/// `seconds`. A size well above the last-level cache measures DRAM, one well below it the cache.
Result<double> readBandwidth(ThreadPool &pool, size_t bytes, double seconds = 0.2);

/// The same of memory: so many bytes that no cache holds them.
Result<double> memoryBandwidth(ThreadPool &pool);

/// f32 operations per second that the pool's threads do together in registers (a multiplication and an addition, fused
/// where the processor can, count as two), the best pass of about `seconds`: the ceiling of products of f32 matrices.
double arithmeticPeak(ThreadPool &pool, double seconds = 0.05);

/// The best rate, in units per second, of passes that run a kernel's tasks on all threads, `units` each, for about so
/// many seconds together.
double bestRate(ThreadPool &pool, KernelFunction kernel, const int64_t *args, int64_t tasks, double units,
                double seconds);

/// The upper one of the two in the middle, if there are two; 0 of no numbers.
double medianOf(std::vector<double> values);

/// A kind of product, and a function that does as many as the processor can. The functions are portable, what they run
/// is not: of processors other than x86 there are none yet.
struct PeakDot {
  const char *name;
  /// The intrinsic of LLVM that is this instruction.
  std::string_view intrinsic;
  /// Runs `rounds` times 16 independent chains; returns how many operations (multiply and add count as two) these
  /// were, or 0 where the processor has no such instruction.
  int64_t (*run)(int64_t rounds);
};

/// Fused multiply-add of f32, dot products of bytes and of bf16 pairs, and tile products of both.
std::span<const PeakDot> peakDots();

/// Operations per second of the pool's threads together, the best pass of about `seconds`; 0 where the processor has no
/// such instruction.
double peakOf(const PeakDot &dot, ThreadPool &pool, double seconds = 0.05);

/// Tokens that no model repeats to itself: a fixed sequence over the vocabulary.
std::vector<int32_t> someTokens(int64_t count, int64_t vocab);

/// Bytes of the last-level cache; 0 where the system does not say.
size_t lastLevelCacheBytes();

} // namespace quantc
