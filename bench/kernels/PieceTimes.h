//===- PieceTimes.h - times of work that others disturb -----------------------------------------------------------===//
#pragma once

#include "CpuTime.h"
#include "quantc/Support/Parallel.h"
#include <algorithm>
#include <vector>

namespace quantc {

/// Work that threads do in pieces, several rounds of it: the sum over pieces of the least time of each, of the slowest
/// thread. Each thread counts its own time of the processor, so that a shared machine disturbs little.
class PieceTimes {
public:
  PieceTimes(int threads, int pieces) : best(threads, std::vector<double>(pieces, 1e9)) {}

  /// Runs body(thread, piece) for all pieces on all threads at once.
  template <typename Body> void round(Body body) {
    parallelFor(best.size(), best.size(), [&](size_t thread) {
      for (size_t piece = 0; piece < best[thread].size(); piece++) {
        const double start = cpuSeconds();
        body(thread, piece);
        best[thread][piece] = std::min(best[thread][piece], cpuSeconds() - start);
      }
    });
  }

  double seconds() const {
    double slowest = 0;
    for (const std::vector<double> &pieces : best) {
      double sum = 0;
      for (double piece : pieces)
        sum += piece;
      slowest = std::max(slowest, sum);
    }
    return slowest;
  }

private:
  std::vector<std::vector<double>> best;
};

} // namespace quantc
