//===- DeviceExecutor.cpp - a session on a GPU --------------------------------------------------------------------===//

#include "DeviceExecutor.h"
#include "../BufferPlan.h"
#include <algorithm>
#include <cstring>

using namespace quantc;
using namespace quantc::cuda;

namespace {

/// A launch whose addresses are known; the scalars are filled in at each step.
struct BoundLaunch {
  size_t kernel, stage;
  std::vector<int64_t> values;                    ///< parameters
  std::vector<std::pair<size_t, Scalar>> scalars; ///< which of them is which scalar
};

class DeviceExecutor final : public Executor {
public:
  static Result<std::unique_ptr<Executor>> create(std::shared_ptr<const DeviceModel> model,
                                                  const ExecutorOptions &options);
  ~DeviceExecutor() override;

  Result<const float *> run(std::span<const SequenceStep> parts, const Scalars &scalars) override;
  void clear(int64_t) override { isCleared = false; }
  uint64_t bufferBytes() const override { return persistent.size() + transient.size(); }
  unsigned threads() const override { return 1; }

private:
  explicit DeviceExecutor(std::shared_ptr<const DeviceModel> model) : model(std::move(model)) {}
  Status allocate(const ExecutorOptions &options);
  void bind(const LaunchEntry &launch, size_t stage);
  Status compute(const Scalars &scalars);
  Status launchAll(const Scalars &scalars);
  Status launch(BoundLaunch &bound, const Scalars &scalars);
  void record(const Scalars &scalars);

  const Driver &driver() const { return model->device()->driver(); }

  std::shared_ptr<const DeviceModel> model;
  DeviceMemory persistent, transient;
  Address past = 0;            ///< of the i64 that kernels read
  std::vector<Address> places; ///< of the buffers, in the manifest's order
  PinnedMemory staging;        ///< past, then tokens, then logits
  uint64_t logitsOffset = 0;   ///< in `staging`
  Stream stream = nullptr;
  std::vector<BoundLaunch> launches;
  bool isCleared = false; ///< the persistent buffers began as zeros

  enum class Recording { NotYet, Next, Done, Off } recording = Recording::NotYet;
  GraphExec graph = nullptr; ///< a step for one token
};

} // namespace

//===- Memory --------------------------------------------------------------------------------------------------===//

Status DeviceExecutor::allocate(const ExecutorOptions &options) {
  const GPUProgram &program = model->program();
  QUANTC_ASSIGN(const Device::MemoryInfo info, model->device()->memory());
  const uint64_t available = options.memoryLimit ? std::min(options.memoryLimit, info.free) : info.free;
  auto layout = layOutBuffers(program.buffers, options.chunk, options.context, /*sequences=*/1, available,
                              DeviceMemory::alignment);
  if (!layout)
    return failAt(fmt::format("on the GPU ({})", model->device()->name()), layout.error());
  QUANTC_ASSIGN(persistent, DeviceMemory::allocate(model->device(), layout->persistent));
  QUANTC_ASSIGN(transient, DeviceMemory::allocate(model->device(), layout->transient + DeviceMemory::alignment));
  past = transient.address() + layout->transient;
  for (size_t i = 0; i < program.buffers.size(); i++)
    places.push_back((program.buffers[i].persistent ? persistent : transient).address() + layout->offsets[i]);

  const BufferEntry &logits = program.buffers[program.logitsBuffer];
  const uint64_t tokenBytes = static_cast<uint64_t>(options.chunk) * sizeof(int32_t);
  logitsOffset = sizeof(int64_t) + (tokenBytes + 63) / 64 * 64;
  QUANTC_ASSIGN(staging, PinnedMemory::allocate(model->device(),
                                                logitsOffset + *bufferSize(logits, options.chunk, options.context)));
  return {};
}

void DeviceExecutor::bind(const LaunchEntry &entry, size_t stage) {
  BoundLaunch &bound = launches.emplace_back(BoundLaunch{entry.kernel, stage, {}, {}});
  for (const ArgEntry &arg : entry.args)
    if (arg.kind == ArgKind::Buffer) {
      bound.values.push_back(static_cast<int64_t>(places[arg.index]));
    } else if (arg.kind == ArgKind::Weight) {
      for (Address address : model->weight(arg.index))
        bound.values.push_back(static_cast<int64_t>(address));
    } else if (arg.scalar == Scalar::Past) {
      bound.values.push_back(static_cast<int64_t>(past));
    } else {
      bound.scalars.emplace_back(bound.values.size(), arg.scalar);
      bound.values.push_back(0);
    }
}

Result<std::unique_ptr<Executor>> DeviceExecutor::create(std::shared_ptr<const DeviceModel> model,
                                                         const ExecutorOptions &options) {
  if (options.sequences != 1)
    return fail("{} sequences in one session on a GPU, which has one yet: use a session for each", options.sequences);
  std::unique_ptr<DeviceExecutor> executor(new DeviceExecutor(std::move(model)));
  QUANTC_TRY(executor->allocate(options));
  const Device::Current current(*executor->model->device());
  QUANTC_TRY(
      executor->driver().check(executor->driver().streamCreate(&executor->stream, NonBlocking), "making a stream"));
  const GPUProgram &program = executor->model->program();
  for (size_t stage = 0; stage < program.stages.size(); stage++)
    for (const LaunchEntry &launch : program.stages[stage].launches)
      executor->bind(launch, stage);
  return std::unique_ptr<Executor>(std::move(executor));
}

DeviceExecutor::~DeviceExecutor() {
  const Device::Current current(*model->device());
  if (graph)
    driver().graphExecDestroy(graph);
  if (stream)
    driver().streamDestroy(stream);
}

//===- Launches ------------------------------------------------------------------------------------------------===//

Status DeviceExecutor::launch(BoundLaunch &bound, const Scalars &scalars) {
  for (const auto &[position, scalar] : bound.scalars)
    bound.values[position] = scalars[static_cast<size_t>(scalar)];
  const auto &variants = model->variants(bound.kernel);
  // The last parameter is the number of tokens, where that decides.
  const uint64_t tokens = bound.values.empty() ? 0 : static_cast<uint64_t>(bound.values.back());
  const auto fits = [&](const DeviceModel::Variant &variant) {
    return variant.description->mostTokens == 0 || tokens <= variant.description->mostTokens;
  };
  const DeviceModel::Variant &variant = *std::ranges::find_if(variants, fits);
  const GPUVariant &description = *variant.description;
  unsigned grid[2];
  for (size_t axis = 0; axis < 2; axis++) {
    const auto &[size, parameter] = description.grid[axis];
    grid[axis] =
        static_cast<unsigned>(parameter ? (static_cast<uint64_t>(bound.values[*parameter]) + size - 1) / size : size);
  }
  std::vector<void *> parameters;
  for (int64_t &value : bound.values)
    parameters.push_back(&value);
  const int result =
      driver().launch(variant.function, grid[0], grid[1], 1, static_cast<unsigned>(description.threads), 1, 1,
                      static_cast<unsigned>(description.sharedBytes), stream, parameters.data(), nullptr);
  if (result)
    return fail("stage {}: {}", model->program().stages[bound.stage].name,
                driver().check(result, description.symbol.c_str()).error().message);
  return {};
}

Status DeviceExecutor::launchAll(const Scalars &scalars) {
  for (BoundLaunch &bound : launches)
    QUANTC_TRY(launch(bound, scalars));
  return {};
}

/// What fails here is tried no more: launches one by one do the same.
void DeviceExecutor::record(const Scalars &scalars) {
  recording = Recording::Off;
  if (!driver().hasGraphs() || driver().beginCapture(stream, CaptureThreadLocal) != 0)
    return;
  const Status launched = launchAll(scalars);
  Graph captured = nullptr;
  const int ended = driver().endCapture(stream, &captured);
  if (launched && ended == 0 && captured && driver().graphInstantiate(&graph, captured, 0) == 0)
    recording = Recording::Done;
  if (captured)
    driver().graphDestroy(captured);
}

/// The kernels of a step. The first step for one token is not recorded: drivers load kernels when they first run.
Status DeviceExecutor::compute(const Scalars &scalars) {
  if (valueOf(scalars, Scalar::Tokens) != 1)
    return launchAll(scalars);
  if (recording == Recording::Next)
    record(scalars);
  if (recording == Recording::Done)
    return driver().check(driver().graphLaunch(graph, stream), "a step for one token");
  if (recording == Recording::NotYet)
    recording = Recording::Next;
  return launchAll(scalars);
}

Result<const float *> DeviceExecutor::run(std::span<const SequenceStep> parts, const Scalars &scalars) {
  const std::span<const int32_t> tokens = parts.front().tokens; // of the only sequence
  const Driver &d = driver();
  const GPUProgram &program = model->program();
  const Device::Current current(*model->device());
  if (!isCleared && persistent.size())
    QUANTC_TRY(d.check(d.fillAsync(persistent.address(), 0, persistent.size(), stream), "clearing the KV cache"));
  isCleared = true;

  std::memcpy(staging.data(), &valueOf(scalars, Scalar::Past), sizeof(int64_t));
  std::memcpy(staging.data() + sizeof(int64_t), tokens.data(), tokens.size_bytes());
  QUANTC_TRY(d.check(d.copyToDeviceAsync(past, staging.data(), sizeof(int64_t), stream), "copying to the GPU"));
  QUANTC_TRY(d.check(
      d.copyToDeviceAsync(places[program.tokensBuffer], staging.data() + sizeof(int64_t), tokens.size_bytes(), stream),
      "copying tokens to the GPU"));
  QUANTC_TRY(compute(scalars));
  std::byte *logits = staging.data() + logitsOffset;
  const uint64_t bytes =
      sizeof(float) * static_cast<uint64_t>(valueOf(scalars, Scalar::Rows) * model->manifest().vocab);
  QUANTC_TRY(d.check(d.copyToHostAsync(logits, places[program.logitsBuffer], bytes, stream), "copying logits"));
  QUANTC_TRY(d.check(d.streamSynchronize(stream), "a step on the GPU"));
  return reinterpret_cast<const float *>(logits);
}

Result<std::unique_ptr<Executor>> cuda::createExecutor(std::shared_ptr<const DeviceModel> model,
                                                       const ExecutorOptions &options) {
  return DeviceExecutor::create(std::move(model), options);
}
