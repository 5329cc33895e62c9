//===- Parallel.cpp - a loop over independent items -------------------------------------------------------------===//

#include "quantc/Support/Parallel.h"
#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

void quantc::parallelFor(size_t count, unsigned threads, const std::function<void(size_t)> &body) {
  if (threads == 0)
    threads = std::max(1u, std::thread::hardware_concurrency());
  std::atomic<size_t> next = 0;
  std::mutex mutex;
  std::exception_ptr thrown;
  auto work = [&] {
    try {
      for (size_t i = next++; i < count; i = next++)
        body(i);
    } catch (...) {
      next = count;
      std::lock_guard lock(mutex);
      thrown = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> helpers;
    for (size_t t = 1; t < std::min<size_t>(threads, count); t++)
      helpers.emplace_back(work);
    work();
  }
  if (thrown)
    std::rethrow_exception(thrown);
}
