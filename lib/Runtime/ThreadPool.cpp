//===- ThreadPool.cpp - fork/join over the tasks of a kernel ----------------------------------------------------===//
//
// One 64-bit word, the ticket, holds the number of the job (high half) and how many of its tasks are not yet claimed
// (low half). A thread claims a chunk by a compare-and-swap on the ticket, which fails if the job has changed: a worker
// that was asleep or disturbed can never take part in a job with the parameters of another one. `run` therefore waits
// only for claimed tasks to be finished, not for workers to arrive.
//
// A job's parameters are overwritten only by the next `run`, that is, after every task of the job is finished: then its
// ticket says zero, and a worker that comes late claims nothing, whatever parameters it has read.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "quantc/Runtime/ThreadPool.h"
#include "quantc/Runtime/Cpu.h"
#include <algorithm>
#include <atomic>
#include <system_error>
#include <thread>
#include <vector>

using namespace quantc;

namespace {

/// Chunks per thread: a thread that stops in the middle of a chunk delays the others by at most 1/16 of their share.
constexpr int64_t chunksPerThread = 16;
/// Polls before a thread sleeps: about 50 µs, longer than what lies between two launches of a step.
constexpr unsigned spinPolls = 2000;

void pauseProcessor() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb");
#endif
}

/// Polls `polls` times, then sleeps, until `word` differs from `old`.
void waitWhile(const std::atomic<uint32_t> &word, uint32_t old, unsigned polls) {
  for (unsigned i = 0; i < polls; ++i) {
    if (word.load(std::memory_order_acquire) != old)
      return;
    pauseProcessor();
  }
  word.wait(old);
}

} // namespace

struct ThreadPool::Shared {
  // The job. Written before its ticket is published.
  std::atomic<KernelFunction> kernel = nullptr;
  std::atomic<const int64_t *> args = nullptr;
  std::atomic<uint32_t> tasks = 0, chunk = 1;

  alignas(64) std::atomic<uint64_t> ticket = 0;
  alignas(64) std::atomic<uint32_t> finished = 0; ///< Tasks of the job that have been run.
  alignas(64) std::atomic<uint32_t> wake = 0;     ///< Changes when there is a new job, or the pool stops.
  std::atomic<bool> stopping = false;

  unsigned polls = 0;
  std::vector<std::thread> workers;

  void claimAndRun();
  void work();
};

/// Runs chunks of the present job until none is left to claim.
void ThreadPool::Shared::claimAndRun() {
  uint64_t claimed = ticket.load(std::memory_order_acquire);
  while (true) {
    const KernelFunction run = kernel.load(std::memory_order_relaxed);
    const int64_t *const arguments = args.load(std::memory_order_relaxed);
    const uint32_t count = tasks.load(std::memory_order_relaxed);
    const uint32_t unclaimed = static_cast<uint32_t>(claimed);
    if (unclaimed == 0)
      return;
    const uint32_t size = std::min(chunk.load(std::memory_order_relaxed), unclaimed);
    if (!ticket.compare_exchange_weak(claimed, claimed - size, std::memory_order_acq_rel, std::memory_order_acquire))
      continue;
    claimed -= size;
    const int64_t begin = int64_t(count) - unclaimed;
    run(arguments, begin, begin + size);
    if (finished.fetch_add(size) + size == count)
      finished.notify_one();
  }
}

void ThreadPool::Shared::work() {
  uint32_t seen = 0;
  while (true) {
    waitWhile(wake, seen, polls);
    seen = wake.load();
    if (stopping.load(std::memory_order_relaxed))
      return;
    claimAndRun();
  }
}

Result<std::unique_ptr<ThreadPool>> ThreadPool::create(unsigned threads) {
  const unsigned processors = availableProcessors();
  if (threads == 0)
    threads = std::min(processors, maxThreads);
  if (threads > maxThreads)
    return fail("{} threads asked for; at most {} are possible", threads, maxThreads);
  auto shared = std::make_unique<Shared>();
  // With more threads than processors, a thread that polls keeps another from working.
  shared->polls = threads <= processors ? spinPolls : 0;
  auto pool = std::unique_ptr<ThreadPool>(new ThreadPool(std::move(shared)));
  try {
    for (unsigned i = 1; i < threads; ++i)
      pool->shared->workers.emplace_back([state = pool->shared.get()] { state->work(); });
  } catch (const std::system_error &error) {
    return fail("cannot start thread {} of {}: {}; ask for fewer threads", pool->threads() + 1, threads, error.what());
  }
  return pool;
}

ThreadPool::ThreadPool(std::unique_ptr<Shared> shared) : shared(std::move(shared)) {}

ThreadPool::~ThreadPool() {
  shared->stopping = true;
  shared->wake.fetch_add(1);
  shared->wake.notify_all();
  for (std::thread &worker : shared->workers)
    worker.join();
}

unsigned ThreadPool::threads() const {
  return static_cast<unsigned>(shared->workers.size()) + 1;
}

void ThreadPool::run(KernelFunction kernel, const int64_t *args, int64_t tasks) {
  if (tasks <= 0)
    return;
  if (tasks == 1 || shared->workers.empty())
    return kernel(args, 0, tasks);

  Shared &job = *shared;
  const uint32_t count = static_cast<uint32_t>(tasks);
  job.kernel.store(kernel, std::memory_order_relaxed);
  job.args.store(args, std::memory_order_relaxed);
  job.tasks.store(count, std::memory_order_relaxed);
  job.chunk.store(static_cast<uint32_t>(std::max<int64_t>(1, tasks / (threads() * chunksPerThread))),
                  std::memory_order_relaxed);
  job.finished.store(0, std::memory_order_relaxed);
  const uint64_t number = (job.ticket.load(std::memory_order_relaxed) >> 32) + 1;
  job.ticket.store(number << 32 | count, std::memory_order_release);
  job.wake.fetch_add(1);
  job.wake.notify_all();

  job.claimAndRun();
  for (uint32_t done; (done = job.finished.load()) != count;)
    waitWhile(job.finished, done, job.polls);
}
