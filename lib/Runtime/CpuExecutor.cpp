//===- CpuExecutor.cpp - a session on the processor ---------------------------------------------------------------===//

#include "BufferPlan.h"
#include "Executor.h"
#include "quantc/Runtime/Memory.h"
#include <cstring>

using namespace quantc;

static constexpr uint64_t bufferAlignment = 64;

namespace {

/// A launch whose addresses are known; the scalars are filled in at each step.
struct BoundLaunch {
  size_t kernel, stage;
  std::vector<int64_t> args;
  std::vector<std::pair<size_t, Scalar>> scalars; ///< Which argument is which scalar.
};

class CpuExecutor final : public Executor {
public:
  static Result<std::unique_ptr<Executor>> create(std::shared_ptr<const Model> model, const ExecutorOptions &options);

  Result<const float *> run(std::span<const int32_t> tokens, const Scalars &scalars) override;
  void clear() override { persistent.clear(); }
  uint64_t bufferBytes() const override { return persistent.size() + transient.size(); }
  unsigned threads() const override { return pool->threads(); }

private:
  explicit CpuExecutor(std::shared_ptr<const Model> model) : model(std::move(model)) {}
  void bind(const LaunchEntry &launch, size_t stage);

  std::shared_ptr<const Model> model;
  Memory persistent, transient;
  std::vector<std::byte *> addresses; ///< In the manifest's order.
  std::unique_ptr<ThreadPool> pool;
  std::vector<BoundLaunch> launches;
};

} // namespace

void CpuExecutor::bind(const LaunchEntry &launch, size_t stage) {
  BoundLaunch &bound = launches.emplace_back(BoundLaunch{launch.kernel, stage, {}, {}});
  for (const ArgEntry &arg : launch.args)
    switch (arg.kind) {
    case ArgKind::Buffer:
      bound.args.push_back(reinterpret_cast<int64_t>(addresses[arg.index]));
      break;
    case ArgKind::Weight:
      bound.args.push_back(reinterpret_cast<int64_t>(model->weights()[arg.index]));
      break;
    case ArgKind::Scalar:
      bound.scalars.emplace_back(bound.args.size(), arg.scalar);
      bound.args.push_back(0);
      break;
    }
}

Result<std::unique_ptr<Executor>> CpuExecutor::create(std::shared_ptr<const Model> model,
                                                      const ExecutorOptions &options) {
  std::unique_ptr<CpuExecutor> executor(new CpuExecutor(std::move(model)));
  const ProgramEntry &program = executor->model->program();
  const uint64_t available = options.memoryLimit ? options.memoryLimit : availableMemory();
  QUANTC_ASSIGN(const BufferLayout layout,
                layOutBuffers(program.buffers, options.chunk, options.context, available, bufferAlignment));
  QUANTC_ASSIGN(executor->persistent, Memory::allocate(layout.persistent));
  QUANTC_ASSIGN(executor->transient, Memory::allocate(layout.transient));
  for (size_t i = 0; i < program.buffers.size(); ++i)
    executor->addresses.push_back((program.buffers[i].persistent ? executor->persistent : executor->transient).data() +
                                  layout.offsets[i]);
  QUANTC_ASSIGN(executor->pool, ThreadPool::create(options.threads));
  for (size_t stage = 0; stage < program.stages.size(); ++stage)
    for (const LaunchEntry &launch : program.stages[stage].launches)
      executor->bind(launch, stage);
  return std::unique_ptr<Executor>(std::move(executor));
}

Result<const float *> CpuExecutor::run(std::span<const int32_t> tokens, const Scalars &scalars) {
  const ProgramEntry &program = model->program();
  std::memcpy(addresses[program.tokensBuffer], tokens.data(), tokens.size_bytes());
  for (BoundLaunch &launch : launches) {
    for (const auto &[position, scalar] : launch.scalars)
      launch.args[position] = scalars[static_cast<size_t>(scalar)];
    const Model::Kernel &kernel = model->kernels()[launch.kernel];
    const int64_t tasks = kernel.tasks(launch.args.data());
    if (tasks < 0 || tasks > ThreadPool::maxTasks)
      return fail("stage {}: kernel {} asks for {} tasks: the artifact's code is damaged",
                  program.stages[launch.stage].name, model->manifest().kernels[launch.kernel].name, tasks);
    pool->run(kernel.run, launch.args.data(), tasks);
  }
  return reinterpret_cast<const float *>(addresses[program.logitsBuffer]);
}

Result<std::unique_ptr<Executor>> quantc::createCpuExecutor(std::shared_ptr<const Model> model,
                                                            const ExecutorOptions &options) {
  return CpuExecutor::create(std::move(model), options);
}
