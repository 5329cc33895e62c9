//===- Parallel.cpp - a loop over independent items -------------------------------------------------------------===//

#include "quantc/Support/Parallel.h"
#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

void quantc::parallelFor(size_t count, unsigned threads, const std::function<void(size_t)> &body) {
  if (threads == 0)
    threads = std::max(1u, std::thread::hardware_concurrency());
  std::atomic<size_t> next = 0;
  auto work = [&] {
    for (size_t i = next++; i < count; i = next++)
      body(i);
  };
  std::vector<std::jthread> helpers;
  for (size_t t = 1; t < std::min<size_t>(threads, count); t++)
    helpers.emplace_back(work);
  work();
}
