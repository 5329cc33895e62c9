//===- DeviceExecutor.cpp - a session on a GPU --------------------------------------------------------------------===//

#include "DeviceExecutor.h"
#include "../BufferPlan.h"
#include <algorithm>
#include <cstring>
#include <optional>

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
  Status stage(uint64_t logitBytes);
  Status enqueue(std::span<const int32_t> tokens, const Scalars &scalars, uint64_t logitBytes);
  void bind(const LaunchEntry &launch, size_t stage);
  Status compute(const Scalars &scalars);
  Status launchAll(const Scalars &scalars);
  Status launch(BoundLaunch &bound, const Scalars &scalars);
  Status launch(BoundLaunch &bound, const DeviceModel::Variant &variant);
  Status capture(const Scalars &scalars);
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
  std::optional<Error> lost; ///< what ended the GPU's work for this process
};

} // namespace

//===- Memory --------------------------------------------------------------------------------------------------===//

Status DeviceExecutor::allocate(const ExecutorOptions &options) {
  const GPUProgram &program = model->program();
  QUANTC_ASSIGN(const Device::MemoryInfo info, model->device()->memory());
  const uint64_t available = options.memoryLimit ? std::min(options.memoryLimit, info.usable()) : info.usable();
  auto layout = layOutBuffers(program.buffers, options.chunk, options.context, /*sequences=*/1, available,
                              DeviceMemory::alignment);
  if (!layout)
    return failAt(fmt::format("on the GPU ({})", model->device()->name()), layout.error());
  QUANTC_ASSIGN(persistent, DeviceMemory::allocate(model->device(), layout->persistent));
  QUANTC_ASSIGN(transient, DeviceMemory::allocate(model->device(), layout->transient + DeviceMemory::alignment));
  past = transient.address() + layout->transient;
  for (size_t i = 0; i < program.buffers.size(); i++)
    places.push_back((program.buffers[i].persistent ? persistent : transient).address() + layout->offsets[i]);

  const uint64_t tokenBytes = static_cast<uint64_t>(options.chunk) * sizeof(int32_t);
  logitsOffset = sizeof(int64_t) + (tokenBytes + 63) / 64 * 64;
  return {};
}

/// Rows of logits are large and mostly one is wanted: the memory that they are copied to grows when more are.
Status DeviceExecutor::stage(uint64_t logitBytes) {
  if (staging.size() < logitsOffset + logitBytes) {
    QUANTC_ASSIGN(staging, PinnedMemory::allocate(model->device(), logitsOffset + logitBytes));
  }
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
  QUANTC_ASSIGN(const Device::Current current, executor->model->device()->makeCurrent());
  QUANTC_TRY(
      executor->driver().check(executor->driver().streamCreate(&executor->stream, NonBlocking), "making a stream"));
  const GPUProgram &program = executor->model->program();
  for (size_t stage = 0; stage < program.stages.size(); stage++)
    for (const LaunchEntry &launch : program.stages[stage].launches)
      executor->bind(launch, stage);
  return std::unique_ptr<Executor>(std::move(executor));
}

DeviceExecutor::~DeviceExecutor() {
  const auto current = model->device()->makeCurrent();
  if (graph)
    driver().graphExecDestroy(graph);
  if (stream)
    driver().streamDestroy(stream);
}

//===- Launches ------------------------------------------------------------------------------------------------===//

Status DeviceExecutor::launch(BoundLaunch &bound, const DeviceModel::Variant &variant) {
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
  int result = driver().launch(variant.function, grid[0], grid[1], 1, static_cast<unsigned>(description.threads), 1, 1,
                               static_cast<unsigned>(description.sharedBytes), stream, parameters.data(), nullptr);
  if (result == 0 && model->synchronizes())
    result = driver().streamSynchronize(stream);
  if (result)
    return fail("stage {}: {}", model->program().stages[bound.stage].name,
                driver().check(result, description.symbol.c_str()).error().message);
  return {};
}

/// The variants for the least number of tokens that suffices.
Status DeviceExecutor::launch(BoundLaunch &bound, const Scalars &scalars) {
  for (const auto &[position, scalar] : bound.scalars)
    bound.values[position] = scalars[static_cast<size_t>(scalar)];
  const uint64_t tokens = bound.scalars.empty() ? 0 : static_cast<uint64_t>(bound.values[bound.scalars.back().first]);
  std::optional<uint64_t> most;
  for (const DeviceModel::Variant &variant : model->variants(bound.kernel)) {
    const uint64_t takes = variant.description->mostTokens;
    if (most.value_or(takes) != takes)
      break;
    if (most || takes == 0 || tokens <= takes) {
      most = takes;
      QUANTC_TRY(launch(bound, variant));
    }
  }
  return {};
}

Status DeviceExecutor::launchAll(const Scalars &scalars) {
  for (BoundLaunch &bound : launches)
    QUANTC_TRY(launch(bound, scalars));
  return {};
}

Status DeviceExecutor::capture(const Scalars &scalars) {
  const Driver &d = driver();
  if (!d.hasGraphs())
    return fail("this driver has no graphs");
  QUANTC_TRY(d.check(d.beginCapture(stream, CaptureThreadLocal), "beginning"));
  const Status launched = launchAll(scalars);
  Graph captured = nullptr;
  const Status ended = d.check(d.endCapture(stream, &captured), "ending");
  Status made = !launched ? launched : ended;
  if (made) {
    made = d.check(d.graphInstantiate(&graph, captured, 0), "making the graph ready");
    if (!made)
      graph = nullptr; // which the call may have set to anything
  }
  if (captured)
    d.graphDestroy(captured);
  return made;
}

/// What fails here is tried no more: launches one by one do the same.
void DeviceExecutor::record(const Scalars &scalars) {
  const Status made = capture(scalars);
  recording = made ? Recording::Done : Recording::Off;
  if (!made)
    model->note(fmt::format("a step is launched kernel by kernel, as it cannot be recorded as a graph: {}",
                            made.error().message));
}

/// The kernels of a step. The first step for one token is not recorded: drivers load kernels when they first run.
Status DeviceExecutor::compute(const Scalars &scalars) {
  if (valueOf(scalars, Scalar::Tokens) != 1 || model->synchronizes())
    return launchAll(scalars);
  if (recording == Recording::Next)
    record(scalars);
  if (recording == Recording::Done)
    return driver().check(driver().graphLaunch(graph, stream), "a step for one token");
  if (recording == Recording::NotYet)
    recording = Recording::Next;
  return launchAll(scalars);
}

Status DeviceExecutor::enqueue(std::span<const int32_t> tokens, const Scalars &scalars, uint64_t logitBytes) {
  const Driver &d = driver();
  const GPUProgram &program = model->program();
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
  return d.check(d.copyToHostAsync(staging.data() + logitsOffset, places[program.logitsBuffer], logitBytes, stream),
                 "copying logits");
}

Result<const float *> DeviceExecutor::run(std::span<const SequenceStep> parts, const Scalars &scalars) {
  if (lost)
    return fail("the GPU has been lost in an earlier step ({}); start the program again", lost->message);
  QUANTC_ASSIGN(const Device::Current current, model->device()->makeCurrent());
  const uint64_t logitBytes =
      sizeof(float) * static_cast<uint64_t>(valueOf(scalars, Scalar::Rows) * model->manifest().vocab);
  QUANTC_TRY(stage(logitBytes));
  const Status enqueued = enqueue(parts.front().tokens, scalars, logitBytes); // of the only sequence
  // After a failure, too: what is under way reads and writes `staging`.
  if (Status waited = driver().check(driver().streamSynchronize(stream), "a step on the GPU"); !waited) {
    if (enqueued && !model->synchronizes())
      waited.error().message += "; load the model with `synchronize` (--cuda-sync) to learn which kernel it was";
    lost = (enqueued ? waited : enqueued).error();
    return tl::unexpected(*lost);
  }
  QUANTC_TRY(Status(enqueued));
  return reinterpret_cast<const float *>(staging.data() + logitsOffset);
}

Result<std::unique_ptr<Executor>> cuda::createExecutor(std::shared_ptr<const DeviceModel> model,
                                                       const ExecutorOptions &options) {
  return DeviceExecutor::create(std::move(model), options);
}
