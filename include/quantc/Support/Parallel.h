//===- Parallel.h - a loop over independent items ---------------------------------------------------------------===//
#pragma once

#include <cstddef>
#include <functional>

namespace quantc {

/// Calls body(i) for each i in [0, count) on up to `threads` threads (0: as many as the machine has), items taken one
/// by one. The caller's thread works too; returns when all are done. Items must be independent: then results do not
/// depend on the number of threads. An exception (no memory) ends the loop and comes to the caller. For compile-time
/// work; kernels run on Runtime's thread pool.
void parallelFor(size_t count, unsigned threads, const std::function<void(size_t)> &body);

} // namespace quantc
