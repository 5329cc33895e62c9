//===- CpuExecutor.cpp - a session on the processor ---------------------------------------------------------------===//

#include "BoundLaunch.h"
#include "BufferPlan.h"
#include "Placement.h"
#include "quantc/Runtime/Memory.h"
#include "quantc/Runtime/Session.h"
#include <algorithm>
#include <cstring>

using namespace quantc;

static constexpr uint64_t bufferAlignment = 64;

namespace {

/// Kernels with arguments of their own that run as one job: the tasks of one after those of the other.
struct Joint {
  KernelFunction kernel;
  std::vector<std::vector<int64_t>> args;
  std::vector<int64_t> ends; ///< The tasks of the first kernels, added up.

  static void run(const int64_t *args, int64_t begin, int64_t end) {
    const Joint &joint = *reinterpret_cast<const Joint *>(args);
    auto at = std::ranges::upper_bound(joint.ends, begin) - joint.ends.begin();
    for (; begin < end; ++at) {
      const int64_t first = at ? joint.ends[at - 1] : 0, stop = std::min(end, joint.ends[at]);
      if (begin < stop)
        joint.kernel(joint.args[at].data(), begin - first, stop - first);
      begin = stop;
    }
  }
};

class CpuExecutor final : public Executor, Addresses {
public:
  static Result<std::unique_ptr<Executor>> create(std::shared_ptr<const Model> model, const ExecutorOptions &options);

  Result<const float *> run(std::span<const SequenceStep> parts, const Scalars &all, const float *entering) override;
  void clear(int64_t sequence) override { persistent[sequence].clear(); }
  uint64_t bufferBytes() const override { return persistent.size() * layout.persistent + layout.transient; }
  unsigned threads() const override { return pool->threads(); }

private:
  explicit CpuExecutor(std::shared_ptr<const Model> model) : model(std::move(model)) {}
  Status launch(const BoundLaunch &launch, std::span<const SequenceStep> of);
  std::byte *address(size_t buffer, int64_t sequence) const {
    const Memory &memory = model->program().buffers[buffer].persistent ? persistent[sequence] : transient;
    return memory.data() + layout.offsets[buffer];
  }
  int64_t buffer(size_t index, int64_t sequence) const override {
    return reinterpret_cast<int64_t>(address(index, sequence));
  }
  std::vector<int64_t> weight(size_t index) const override {
    return {reinterpret_cast<int64_t>(model->weights()[index])};
  }
  int64_t past(const SequenceStep &part) const override { return valueOf(part.scalars, Scalar::Past); }

  std::shared_ptr<const Model> model;
  StageRange stages;
  BufferLayout layout;
  std::vector<Memory> persistent; ///< Of each sequence.
  Memory transient;
  std::shared_ptr<ThreadPool> pool;
  std::vector<BoundLaunch> launches;
  Joint joint;
  LaunchObserver *observer = nullptr;
};

} // namespace

//===- Launches -------------------------------------------------------------------------------------------------===//

Status CpuExecutor::launch(const BoundLaunch &launch, std::span<const SequenceStep> of) {
  const Model::Kernel &kernel = model->kernels()[launch.entry->kernel];
  joint.kernel = kernel.run;
  joint.args.resize(of.size());
  joint.ends.clear();
  int64_t tasks = 0;
  for (size_t i = 0; i < of.size(); ++i) {
    launch.fill(of[i], *this, joint.args[i]);
    const int64_t more = kernel.tasks(joint.args[i].data());
    if (more < 0 || more > ThreadPool::maxTasks - tasks)
      return fail("stage {}: kernel {} asks for {} tasks: the artifact's code is damaged",
                  model->program().stages[launch.stage].name, model->manifest().kernels[launch.entry->kernel].name,
                  more);
    joint.ends.push_back(tasks += more);
  }
  if (observer)
    observer->before(*launch.entry, joint.args[0], *pool);
  if (of.size() == 1)
    pool->run(kernel.run, joint.args[0].data(), tasks);
  else
    pool->run(Joint::run, reinterpret_cast<const int64_t *>(&joint), tasks);
  if (observer)
    observer->after(*launch.entry);
  return {};
}

//===- The executor ---------------------------------------------------------------------------------------------===//

Result<std::unique_ptr<Executor>> CpuExecutor::create(std::shared_ptr<const Model> model,
                                                      const ExecutorOptions &options) {
  std::unique_ptr<CpuExecutor> executor(new CpuExecutor(std::move(model)));
  executor->stages = options.stages;
  executor->pool = options.pool;
  executor->observer = options.observer;
  const ProgramEntry &program = executor->model->program();
  const uint64_t available = options.memoryLimit ? options.memoryLimit : availableMemory();
  QUANTC_ASSIGN(executor->layout, layOutBuffers(buffersOf(program, options.stages), options.chunk, options.context,
                                                options.sequences, available, bufferAlignment));
  for (int64_t i = 0; i < options.sequences; ++i) {
    QUANTC_ASSIGN(Memory memory, Memory::allocate(executor->layout.persistent));
    executor->persistent.push_back(std::move(memory));
  }
  QUANTC_ASSIGN(executor->transient, Memory::allocate(executor->layout.transient));
  for (size_t stage = options.stages.first; stage < options.stages.last; ++stage)
    for (const LaunchEntry &launch : program.stages[stage].launches) {
      QUANTC_ASSIGN(BoundLaunch bound, BoundLaunch::bind(program, launch, stage, options.sequences, *executor));
      executor->launches.push_back(std::move(bound));
    }
  return std::unique_ptr<Executor>(std::move(executor));
}

Result<const float *> CpuExecutor::run(std::span<const SequenceStep> parts, const Scalars &all, const float *entering) {
  const ProgramEntry &program = model->program();
  std::byte *input = address(enteringBuffer(program, stages), 0);
  if (entering)
    std::memcpy(input, entering, enteringBytes(program, stages, all));
  else
    for (const SequenceStep &part : parts)
      std::ranges::copy(part.tokens, reinterpret_cast<int32_t *>(input) + part.firstToken);
  const SequenceStep everything{0, {}, 0, 0, all};
  for (const BoundLaunch &bound : launches)
    QUANTC_TRY(launch(bound, bound.ofSequence ? parts : std::span(&everything, 1)));
  return reinterpret_cast<const float *>(address(leavingBuffer(program, stages), 0));
}

Result<std::unique_ptr<Executor>> quantc::createCpuExecutor(std::shared_ptr<const Model> model,
                                                            const ExecutorOptions &options) {
  return CpuExecutor::create(std::move(model), options);
}
