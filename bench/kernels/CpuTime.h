//===- CpuTime.h - seconds of the processor -----------------------------------------------------------------------===//
#pragma once

#include <ctime>

/// Seconds that this thread has run: other work on the machine does not count.
inline double cpuSeconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}
