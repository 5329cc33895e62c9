//===- Measure.h - what the machine can read --------------------------------------------------------------------===//
#pragma once

#include "quantc/Runtime/ThreadPool.h"
#include <cstddef>

namespace quantc {

/// Bytes per second at which the pool's threads together read `bytes` of memory over and over, the best pass of about
/// `seconds`. A size well above the last-level cache measures DRAM, one well below it the cache.
Result<double> readBandwidth(ThreadPool &pool, size_t bytes, double seconds = 0.2);

/// Bytes of the last-level cache; 0 where the system does not say.
size_t lastLevelCacheBytes();

} // namespace quantc
