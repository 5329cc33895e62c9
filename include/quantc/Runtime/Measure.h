//===- Measure.h - what the machine can read and compute ---------------------------------------------------------===//
#pragma once

#include "quantc/Runtime/ThreadPool.h"
#include <cstddef>

namespace quantc {

/// Bytes per second at which the pool's threads together read `bytes` of memory over and over, the best pass of about
/// `seconds`. A size well above the last-level cache measures DRAM, one well below it the cache.
Result<double> readBandwidth(ThreadPool &pool, size_t bytes, double seconds = 0.2);

/// f32 operations per second that the pool's threads do together in registers (a multiplication and an addition, fused
/// where the processor can, count as two), the best pass of about `seconds`: the ceiling of products of f32 matrices.
double arithmeticPeak(ThreadPool &pool, double seconds = 0.05);

/// Bytes of the last-level cache; 0 where the system does not say.
size_t lastLevelCacheBytes();

} // namespace quantc
