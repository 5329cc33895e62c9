//===- SplitExecutor.cpp - a session whose stages run in several places -------------------------------------------===//

#include "CUDA/DeviceExecutor.h"
#include "Executor.h"
#include <algorithm>
#include <numeric>

using namespace quantc;

namespace {

/// Executors of stages that follow each other: what one gives enters the next.
class SplitExecutor final : public Executor {
public:
  explicit SplitExecutor(std::vector<std::unique_ptr<Executor>> executors) : executors(std::move(executors)) {}

  Result<const float *> run(std::span<const SequenceStep> parts, const Scalars &all, const float *entering) override {
    for (const auto &executor : executors) {
      QUANTC_ASSIGN(entering, executor->run(parts, all, entering));
    }
    return entering;
  }
  void clear(int64_t sequence) override {
    for (const auto &executor : executors)
      executor->clear(sequence);
  }
  uint64_t bufferBytes() const override {
    return std::transform_reduce(executors.begin(), executors.end(), uint64_t(0), std::plus(),
                                 [](const auto &executor) { return executor->bufferBytes(); });
  }
  unsigned threads() const override { return executors.front()->threads(); } // of the processor

private:
  std::vector<std::unique_ptr<Executor>> executors;
};

} // namespace

Result<std::unique_ptr<Executor>> quantc::createExecutor(std::shared_ptr<const Model> model, ExecutorOptions options,
                                                         unsigned threads) {
  const StageRange all = model->program().allStages(), gpu = model->stagesOnDevice();
  const StageRange parts[] = {{all.first, gpu.first}, gpu, {gpu.last, all.last}};
  std::vector<std::unique_ptr<Executor>> executors;
  for (const StageRange &part : parts) {
    if (part.empty())
      continue;
    options.stages = part;
    const bool onGPU = part == gpu;
    if (!onGPU && !options.pool) {
      QUANTC_ASSIGN(options.pool, ThreadPool::create(threads));
    }
    QUANTC_ASSIGN(auto executor,
                  onGPU ? cuda::createExecutor(model->onDevice(), options) : createCpuExecutor(model, options));
    if (options.memoryLimit) // is for all together
      options.memoryLimit -= std::min(options.memoryLimit - 1, executor->bufferBytes());
    executors.push_back(std::move(executor));
  }
  if (executors.size() == 1)
    return std::move(executors.front());
  return std::make_unique<SplitExecutor>(std::move(executors));
}
