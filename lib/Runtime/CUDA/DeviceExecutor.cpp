//===- DeviceExecutor.cpp - a session on a GPU --------------------------------------------------------------------===//

#include "DeviceExecutor.h"
#include "../BufferPlan.h"
#include "../Placement.h"
#include "StepGraphs.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <ranges>

using namespace quantc;
using namespace quantc::cuda;

namespace {

/// A launch whose addresses are known; the scalars are filled in at each step.
struct BoundLaunch {
  size_t kernel, stage;
  bool findsTop;                                  ///< runs where the largest logits are wanted, and only there
  std::vector<int64_t> values;                    ///< parameters
  std::vector<std::pair<size_t, Scalar>> scalars; ///< which of them is which scalar
};

/// What comes back from a step.
struct Leaving {
  size_t buffer;
  uint64_t bytes;
};

/// What goes to the GPU and comes back for a step whose token it chooses itself.
struct Choice {
  int64_t past;
  int32_t token; ///< that enters the first step; then what is chosen
  float largest; ///< its logit
};
/// Steps that the host puts on the stream before it looks at what they chose: of those behind the end of a text nobody
/// has any use.
constexpr int64_t mostStepsAhead = 4;

class DeviceExecutor final : public Executor {
public:
  static Result<std::unique_ptr<Executor>> create(std::shared_ptr<const DeviceModel> model,
                                                  const ExecutorOptions &options);
  ~DeviceExecutor() override;

  Result<const float *> run(std::span<const SequenceStep> parts, const Scalars &scalars,
                            const float *entering) override;
  Result<std::vector<int32_t>> chooseTokens(int32_t token, int64_t count, const Scalars &first) override;
  int64_t topLogits() const override;
  Result<TopLogits> runTop(std::span<const SequenceStep> parts, const Scalars &scalars) override;
  void clear(int64_t) override { isCleared = false; }
  uint64_t bufferBytes() const override { return persistent.size() + transient.size(); }
  unsigned threads() const override { return 1; }

private:
  explicit DeviceExecutor(std::shared_ptr<const DeviceModel> model) : model(model), graphs(std::move(model)) {}
  Status allocate(const ExecutorOptions &options);
  Status stage(uint64_t leavingBytes);
  uint64_t leavingBytes(const Scalars &scalars) const;
  Status onStream(const std::function<Status()> &enqueue);
  Status clearCaches();
  Result<const std::byte *> step(std::span<const std::byte> entering, const Scalars &scalars,
                                 std::span<const Leaving> leaving, bool findsTop = false);
  Status enqueue(std::span<const std::byte> entering, const Scalars &scalars, std::span<const Leaving> leaving,
                 bool findsTop);
  Status enqueueChoices(std::span<Choice> choices, int32_t token, Scalars scalars);
  Status checkNotLost() const;
  void bind(const LaunchEntry &launch, size_t stage);
  Status compute(const Scalars &scalars, bool findsTop = false);
  Status launchAll(const Scalars &scalars, bool findsTop);
  Status launch(BoundLaunch &bound, const Scalars &scalars);
  Status launch(BoundLaunch &bound, const DeviceModel::Variant &variant);

  const Driver &driver() const { return model->device()->driver(); }

  std::shared_ptr<const DeviceModel> model;
  StageRange stages;
  DeviceMemory persistent, transient;
  Address past = 0;            ///< of the i64 that kernels read
  std::vector<Address> places; ///< of the buffers, in the manifest's order
  PinnedMemory staging;        ///< past, then what enters the stages, then what leaves them
  uint64_t leavingOffset = 0;  ///< in `staging`
  Stream stream = nullptr;
  std::vector<BoundLaunch> launches;
  StepGraphs graphs;
  bool isCleared = false; ///< the persistent buffers began as zeros

  std::optional<Error> lost; ///< what ended the GPU's work for this process
};

} // namespace

//===- Memory --------------------------------------------------------------------------------------------------===//

Status DeviceExecutor::allocate(const ExecutorOptions &options) {
  const GPUProgram &program = model->program();
  QUANTC_ASSIGN(const Device::MemoryInfo info, model->device()->memory());
  const uint64_t available = options.memoryLimit ? std::min(options.memoryLimit, info.usable()) : info.usable();
  auto layout = layOutBuffers(buffersOf(program, stages), options.chunk, options.context, /*sequences=*/1, available,
                              DeviceMemory::alignment);
  if (!layout) {
    const uint64_t all = available + model->weightBytes(stages);
    const std::string layers = layersThatFit(model->manifest(), [&](StageRange part) {
      const uint64_t weights = model->weightBytes(part);
      return weights <= all && layOutBuffers(buffersOf(program, part), options.chunk, options.context, /*sequences=*/1,
                                             all - weights, DeviceMemory::alignment);
    });
    return fail("on the GPU ({}): {}{}", model->device()->name(), layout.error().message, layers);
  }
  QUANTC_ASSIGN(persistent, DeviceMemory::allocate(model->device(), layout->persistent));
  QUANTC_ASSIGN(transient, DeviceMemory::allocate(model->device(), layout->transient + DeviceMemory::alignment));
  past = transient.address() + layout->transient;
  for (size_t i = 0; i < program.buffers.size(); i++)
    places.push_back((program.buffers[i].persistent ? persistent : transient).address() + layout->offsets[i]);

  Scalars most{};
  valueOf(most, Scalar::Tokens) = options.chunk;
  const uint64_t enteringBytes = stages.first ? quantc::enteringBytes(program, stages, most)
                                              : static_cast<uint64_t>(options.chunk) * sizeof(int32_t);
  leavingOffset = sizeof(int64_t) + (enteringBytes + 63) / 64 * 64;
  return {};
}

uint64_t DeviceExecutor::leavingBytes(const Scalars &scalars) const {
  const GPUProgram &program = model->program();
  if (stages.last < program.stages.size())
    return quantc::enteringBytes(program, {stages.last, program.stages.size()}, scalars);
  return sizeof(float) * static_cast<uint64_t>(valueOf(scalars, Scalar::Rows) * model->manifest().vocab);
}

/// Rows of logits are large and mostly one is wanted: the memory that they are copied to grows when more are.
Status DeviceExecutor::stage(uint64_t bytes) {
  if (staging.size() < leavingOffset + bytes) {
    QUANTC_ASSIGN(staging, PinnedMemory::allocate(model->device(), leavingOffset + bytes));
  }
  return {};
}

void DeviceExecutor::bind(const LaunchEntry &entry, size_t stage) {
  const auto &top = model->program().top;
  const bool findsTop = top && std::ranges::any_of(entry.args, [&](const ArgEntry &arg) {
                          return arg.kind == ArgKind::Buffer && arg.index == top->tokens;
                        });
  BoundLaunch &bound = launches.emplace_back(BoundLaunch{entry.kernel, stage, findsTop, {}, {}});
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
  executor->stages = options.stages;
  QUANTC_TRY(executor->allocate(options));
  QUANTC_ASSIGN(const Device::Current current, executor->model->device()->makeCurrent());
  QUANTC_TRY(
      executor->driver().check(executor->driver().streamCreate(&executor->stream, NonBlocking), "making a stream"));
  const GPUProgram &program = executor->model->program();
  for (size_t stage = options.stages.first; stage < options.stages.last; stage++)
    for (const LaunchEntry &launch : program.stages[stage].launches)
      executor->bind(launch, stage);
  return std::unique_ptr<Executor>(std::move(executor));
}

DeviceExecutor::~DeviceExecutor() {
  const auto current = model->device()->makeCurrent();
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
  LaunchAttribute mayOverlap{.id = SerializeByProgram, .number = 1};
  const LaunchConfig config{.gridX = grid[0],
                            .gridY = grid[1],
                            .gridZ = 1,
                            .blockX = static_cast<unsigned>(description.threads),
                            .blockY = 1,
                            .blockZ = 1,
                            .sharedBytes = static_cast<unsigned>(description.sharedBytes),
                            .stream = stream,
                            .attributes = &mayOverlap,
                            .attributeCount = 1};
  int result = description.waits && driver().launchWith
                   ? driver().launchWith(&config, variant.function, parameters.data(), nullptr)
                   : driver().launch(variant.function, config.gridX, config.gridY, 1, config.blockX, 1, 1,
                                     config.sharedBytes, stream, parameters.data(), nullptr);
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

Status DeviceExecutor::launchAll(const Scalars &scalars, bool findsTop) {
  for (BoundLaunch &bound : launches)
    if (!bound.findsTop || findsTop)
      QUANTC_TRY(launch(bound, scalars));
  return {};
}

Status DeviceExecutor::compute(const Scalars &scalars, bool findsTop) {
  const StepGraphs::Size size = {
      .tokens = valueOf(scalars, Scalar::Tokens), .rows = valueOf(scalars, Scalar::Rows), .findsTop = findsTop};
  const auto launch = [&] { return launchAll(scalars, findsTop); };
  return size.tokens > StepGraphs::mostTokens || model->synchronizes() ? launch() : graphs.run(stream, size, launch);
}

//===- Steps ---------------------------------------------------------------------------------------------------===//

Status DeviceExecutor::clearCaches() {
  if (!isCleared && persistent.size())
    QUANTC_TRY(driver().check(driver().fillAsync(persistent.address(), 0, persistent.size(), stream),
                              "clearing the KV cache"));
  isCleared = true;
  return {};
}

/// Does what `enqueue` puts on the stream.
Status DeviceExecutor::onStream(const std::function<Status()> &enqueue) {
  const Status enqueued = enqueue();
  // After a failure, too: what is under way reads and writes `staging`.
  if (Status waited = driver().check(driver().streamSynchronize(stream), "a step on the GPU"); !waited) {
    if (enqueued && !model->synchronizes())
      waited.error().message += "; load the model with `synchronize` (--cuda-sync) to learn which kernel it was";
    lost = (enqueued ? waited : enqueued).error();
    return tl::unexpected(*lost);
  }
  return enqueued;
}

Status DeviceExecutor::enqueue(std::span<const std::byte> entering, const Scalars &scalars,
                               std::span<const Leaving> leaving, bool findsTop) {
  const Driver &d = driver();
  const GPUProgram &program = model->program();
  QUANTC_TRY(clearCaches());
  std::memcpy(staging.data(), &valueOf(scalars, Scalar::Past), sizeof(int64_t));
  std::memcpy(staging.data() + sizeof(int64_t), entering.data(), entering.size());
  QUANTC_TRY(d.check(d.copyToDeviceAsync(past, staging.data(), sizeof(int64_t), stream), "copying to the GPU"));
  QUANTC_TRY(d.check(d.copyToDeviceAsync(places[enteringBuffer(program, stages)], staging.data() + sizeof(int64_t),
                                         entering.size(), stream),
                     "copying tokens to the GPU"));
  QUANTC_TRY(compute(scalars, findsTop));
  std::byte *to = staging.data() + leavingOffset;
  for (const auto &[buffer, bytes] : leaving) {
    QUANTC_TRY(d.check(d.copyToHostAsync(to, places[buffer], bytes, stream), "copying from the GPU"));
    to += bytes;
  }
  return {};
}

/// Steps that follow each other: each finds its token where the one before left what it chose.
Status DeviceExecutor::enqueueChoices(std::span<Choice> choices, int32_t token, Scalars scalars) {
  const Driver &d = driver();
  const GPUProgram &program = model->program();
  const Address tokens = places[program.tokensBuffer], chosen = places[program.choice->tokens];
  QUANTC_TRY(clearCaches());
  for (Choice &choice : choices) {
    choice = {.past = valueOf(scalars, Scalar::Past)++, .token = token, .largest = 0};
    QUANTC_TRY(d.check(d.copyToDeviceAsync(past, &choice.past, sizeof(choice.past), stream), "copying to the GPU"));
    QUANTC_TRY(d.check(&choice == &choices.front()
                           ? d.copyToDeviceAsync(tokens, &choice.token, sizeof(choice.token), stream)
                           : d.copyOnDeviceAsync(tokens, chosen, sizeof(choice.token), stream),
                       "copying a token"));
    QUANTC_TRY(compute(scalars));
    QUANTC_TRY(d.check(d.copyToHostAsync(&choice.token, chosen, sizeof(choice.token), stream), "copying from the GPU"));
    QUANTC_TRY(
        d.check(d.copyToHostAsync(&choice.largest, places[program.choice->largest], sizeof(choice.largest), stream),
                "copying from the GPU"));
  }
  return {};
}

Status DeviceExecutor::checkNotLost() const {
  if (lost)
    return fail("the GPU has been lost in an earlier step ({}); start the program again", lost->message);
  return {};
}

/// One step; what leaves it stands one behind the other.
Result<const std::byte *> DeviceExecutor::step(std::span<const std::byte> entering, const Scalars &scalars,
                                               std::span<const Leaving> leaving, bool findsTop) {
  QUANTC_TRY(checkNotLost());
  QUANTC_ASSIGN(const Device::Current current, model->device()->makeCurrent());
  uint64_t bytes = 0;
  for (const Leaving &one : leaving)
    bytes += one.bytes;
  QUANTC_TRY(stage(bytes));
  QUANTC_TRY(onStream([&] { return enqueue(entering, scalars, leaving, findsTop); }));
  return staging.data() + leavingOffset;
}

Result<const float *> DeviceExecutor::run(std::span<const SequenceStep> parts, const Scalars &scalars,
                                          const float *entering) {
  const auto input =
      entering ? std::as_bytes(std::span(entering, enteringBytes(model->program(), stages, scalars) / sizeof(float)))
               : std::as_bytes(parts.front().tokens); // of the only sequence
  const Leaving leaving{leavingBuffer(model->program(), stages), leavingBytes(scalars)};
  QUANTC_ASSIGN(const std::byte *left, step(input, scalars, std::span(&leaving, 1)));
  return reinterpret_cast<const float *>(left);
}

int64_t DeviceExecutor::topLogits() const {
  const GPUProgram &program = model->program();
  if (!program.top || stages != program.allStages())
    return 0;
  return static_cast<int64_t>(program.buffers[program.top->logits].perToken / sizeof(float));
}

Result<TopLogits> DeviceExecutor::runTop(std::span<const SequenceStep> parts, const Scalars &scalars) {
  const int64_t count = topLogits();
  if (!count)
    return Executor::runTop(parts, scalars);
  const TopEntry &top = *model->program().top;
  const auto numbers = static_cast<size_t>(count * valueOf(scalars, Scalar::Rows));
  const Leaving leaving[] = {{top.tokens, numbers * sizeof(int32_t)}, {top.logits, numbers * sizeof(float)}};
  QUANTC_ASSIGN(const std::byte *left, step(std::as_bytes(parts.front().tokens), scalars, leaving, /*findsTop=*/true));
  const auto *tokens = reinterpret_cast<const int32_t *>(left);
  return TopLogits{{tokens, numbers}, {reinterpret_cast<const float *>(tokens + numbers), numbers}, count};
}

Result<std::vector<int32_t>> DeviceExecutor::chooseTokens(int32_t token, int64_t count, const Scalars &first) {
  QUANTC_TRY(checkNotLost());
  std::vector<int32_t> tokens;
  if (!model->program().choice || stages != model->program().allStages())
    return tokens;
  QUANTC_ASSIGN(const Device::Current current, model->device()->makeCurrent());
  const auto steps = static_cast<size_t>(std::min(count, mostStepsAhead));
  QUANTC_TRY(stage(steps * sizeof(Choice)));
  const std::span choices(reinterpret_cast<Choice *>(staging.data() + leavingOffset), steps);
  QUANTC_TRY(onStream([&] { return enqueueChoices(choices, token, first); }));
  if (std::ranges::all_of(choices, [](float largest) { return std::isfinite(largest); }, &Choice::largest))
    std::ranges::copy(choices | std::views::transform(&Choice::token), std::back_inserter(tokens));
  return tokens;
}

Result<std::unique_ptr<Executor>> cuda::createExecutor(std::shared_ptr<const DeviceModel> model,
                                                       const ExecutorOptions &options) {
  return DeviceExecutor::create(std::move(model), options);
}
