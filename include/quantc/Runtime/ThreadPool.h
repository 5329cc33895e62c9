//===- ThreadPool.h - fork/join over the tasks of a kernel ------------------------------------------------------===//
//
// A step of a model launches hundreds of kernels, many of them a few microseconds long, so a launch must cost little:
// workers spin briefly between launches and then sleep. Tasks are taken in small chunks, so that a thread which the
// system disturbs holds back only the chunk it has begun; a worker that has not woken in time is not waited for.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <cstdint>
#include <memory>

namespace quantc {

/// Runs tasks [begin, end) of a kernel.
using KernelFunction = void (*)(const int64_t *args, int64_t begin, int64_t end);

class ThreadPool {
public:
  static constexpr unsigned maxThreads = 1024;
  static constexpr int64_t maxTasks = INT32_MAX;

  /// `threads` counts the caller's thread: 1 starts none, 0 means one for each available processor.
  /// Fails where `threads` exceeds maxThreads or the system refuses to start one.
  static Result<std::unique_ptr<ThreadPool>> create(unsigned threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;

  /// Runs tasks [0, tasks) of the kernel, each once, and returns when all are done. `tasks` lies in [0, maxTasks].
  /// One call at a time.
  void run(KernelFunction kernel, const int64_t *args, int64_t tasks);

  unsigned threads() const;

private:
  struct Shared;
  explicit ThreadPool(std::unique_ptr<Shared> shared);
  std::unique_ptr<Shared> shared;
};

} // namespace quantc
