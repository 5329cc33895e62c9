//===- DeviceExecutor.cpp - a session on a GPU --------------------------------------------------------------------===//

#include "DeviceExecutor.h"
#include "../Placement.h"
#include "DeviceBuffers.h"
#include "StepGraphs.h"
#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <ranges>

using namespace quantc;
using namespace quantc::cuda;

namespace {

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

  Result<const float *> run(std::span<const SequenceStep> parts, const Scalars &all, const float *entering) override;
  Result<std::vector<int32_t>> chooseTokens(int32_t token, int64_t count, const Scalars &first) override;
  int64_t topLogits() const override;
  Result<TopLogits> runTop(std::span<const SequenceStep> parts, const Scalars &all) override;
  void clear(int64_t sequence) override { buffers.clear(sequence); }
  uint64_t bufferBytes() const override { return buffers.bytes(); }
  unsigned threads() const override { return 1; }

private:
  explicit DeviceExecutor(std::shared_ptr<const DeviceModel> model)
      : model(model), buffers(model), graphs(std::move(model)) {}
  uint64_t leavingBytes(const Scalars &all) const;
  Status onStream(const std::function<Status()> &enqueue);
  Result<const std::byte *> step(std::span<const SequenceStep> parts, const Scalars &all, const float *entering,
                                 std::span<const Leaving> leaving, bool wantsTop = false);
  Status enqueue(std::span<const SequenceStep> parts, const Scalars &all, const float *entering,
                 std::span<const Leaving> leaving, bool wantsTop);
  Status enqueueChoices(std::span<Choice> choices, int32_t token, Scalars scalars);
  Status checkNotLost() const;
  bool findsTop(const LaunchEntry &launch) const;
  Status compute(std::span<const SequenceStep> parts, const Scalars &all, bool wantsTop = false);
  Status launchAll(std::span<const SequenceStep> parts, const Scalars &all, bool wantsTop);
  Status launch(const BoundLaunch &bound, const SequenceStep &part);
  Status launch(const BoundLaunch &bound, const DeviceModel::Variant &variant);

  const Driver &driver() const { return model->device()->driver(); }

  std::shared_ptr<const DeviceModel> model;
  StageRange stages;
  DeviceBuffers buffers;
  Stream stream = nullptr;
  std::vector<BoundLaunch> launches;
  std::vector<int64_t> values; ///< parameters of the launch being made
  StepGraphs graphs;

  std::optional<Error> lost; ///< what ended the GPU's work for this process
};

} // namespace

uint64_t DeviceExecutor::leavingBytes(const Scalars &all) const {
  const GPUProgram &program = model->program();
  if (stages.last < program.stages.size())
    return quantc::enteringBytes(program, {stages.last, program.stages.size()}, all);
  return sizeof(float) * static_cast<uint64_t>(valueOf(all, Scalar::Rows) * model->manifest().vocab);
}

Result<std::unique_ptr<Executor>> DeviceExecutor::create(std::shared_ptr<const DeviceModel> model,
                                                         const ExecutorOptions &options) {
  std::unique_ptr<DeviceExecutor> executor(new DeviceExecutor(std::move(model)));
  executor->stages = options.stages;
  QUANTC_TRY(executor->buffers.allocate(options));
  QUANTC_ASSIGN(const Device::Current current, executor->model->device()->makeCurrent());
  QUANTC_TRY(
      executor->driver().check(executor->driver().streamCreate(&executor->stream, NonBlocking), "making a stream"));
  const GPUProgram &program = executor->model->program();
  for (size_t stage = options.stages.first; stage < options.stages.last; stage++)
    for (const LaunchEntry &launch : program.stages[stage].launches) {
      QUANTC_ASSIGN(BoundLaunch bound, BoundLaunch::bind(program, launch, stage, options.sequences, executor->buffers));
      executor->launches.push_back(std::move(bound));
    }
  return std::unique_ptr<Executor>(std::move(executor));
}

DeviceExecutor::~DeviceExecutor() {
  const auto current = model->device()->makeCurrent();
  if (stream)
    driver().streamDestroy(stream);
}

//===- Launches ------------------------------------------------------------------------------------------------===//

Status DeviceExecutor::launch(const BoundLaunch &bound, const DeviceModel::Variant &variant) {
  const GPUVariant &description = *variant.description;
  unsigned grid[2];
  for (size_t axis = 0; axis < 2; axis++) {
    const auto &[size, parameter] = description.grid[axis];
    grid[axis] =
        static_cast<unsigned>(parameter ? (static_cast<uint64_t>(values[*parameter]) + size - 1) / size : size);
  }
  std::vector<void *> parameters;
  for (int64_t &value : values)
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
Status DeviceExecutor::launch(const BoundLaunch &bound, const SequenceStep &part) {
  bound.fill(part, buffers, values);
  const uint64_t tokens = bound.scalars.empty() ? 0 : static_cast<uint64_t>(values[bound.scalars.back().first]);
  std::optional<uint64_t> most;
  for (const DeviceModel::Variant &variant : model->variants(bound.entry->kernel)) {
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

/// Whether a launch is for steps only that want the largest logits.
bool DeviceExecutor::findsTop(const LaunchEntry &launch) const {
  const auto &top = model->program().top;
  return top && std::ranges::any_of(launch.args, [&](const ArgEntry &arg) {
           return arg.kind == ArgKind::Buffer && arg.index == top->tokens;
         });
}

Status DeviceExecutor::launchAll(std::span<const SequenceStep> parts, const Scalars &all, bool wantsTop) {
  const SequenceStep everything{0, {}, 0, 0, all};
  for (const BoundLaunch &bound : launches)
    if (wantsTop || !findsTop(*bound.entry))
      for (const SequenceStep &part : bound.ofSequence ? parts : std::span(&everything, 1))
        QUANTC_TRY(launch(bound, part));
  return {};
}

Status DeviceExecutor::compute(std::span<const SequenceStep> parts, const Scalars &all, bool wantsTop) {
  StepGraphs::Shape shape{.parts = {}, .findsTop = wantsTop};
  for (const SequenceStep &part : parts)
    shape.parts.push_back({part.sequence, valueOf(part.scalars, Scalar::Tokens), valueOf(part.scalars, Scalar::Rows)});
  const auto launch = [&] { return launchAll(parts, all, wantsTop); };
  return model->synchronizes() ? launch() : graphs.run(stream, shape, launch);
}

//===- Steps ---------------------------------------------------------------------------------------------------===//

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

Status DeviceExecutor::enqueue(std::span<const SequenceStep> parts, const Scalars &all, const float *entering,
                               std::span<const Leaving> leaving, bool wantsTop) {
  const Driver &d = driver();
  const GPUProgram &program = model->program();
  QUANTC_TRY(buffers.clearOn(stream));
  const std::span<int64_t> pasts = buffers.stagedPasts();
  for (const SequenceStep &part : parts) {
    pasts[static_cast<size_t>(part.sequence)] = valueOf(part.scalars, Scalar::Past);
    if (!entering)
      std::ranges::copy(part.tokens, reinterpret_cast<int32_t *>(buffers.entering()) + part.firstToken);
  }
  const uint64_t bytes = entering ? enteringBytes(program, stages, all)
                                  : sizeof(int32_t) * static_cast<uint64_t>(valueOf(all, Scalar::Tokens));
  if (entering)
    std::memcpy(buffers.entering(), entering, bytes);
  QUANTC_TRY(
      d.check(d.copyToDeviceAsync(buffers.pastOf(0), pasts.data(), pasts.size_bytes(), stream), "copying to the GPU"));
  QUANTC_TRY(
      d.check(d.copyToDeviceAsync(buffers.shared(enteringBuffer(program, stages)), buffers.entering(), bytes, stream),
              "copying tokens to the GPU"));
  QUANTC_TRY(compute(parts, all, wantsTop));
  std::byte *to = buffers.leaving();
  for (const auto &[buffer, size] : leaving) {
    QUANTC_TRY(d.check(d.copyToHostAsync(to, buffers.shared(buffer), size, stream), "copying from the GPU"));
    to += size;
  }
  return {};
}

/// Steps that follow each other: each finds its token where the one before left what it chose.
Status DeviceExecutor::enqueueChoices(std::span<Choice> choices, int32_t token, Scalars scalars) {
  const Driver &d = driver();
  const GPUProgram &program = model->program();
  const Address tokens = buffers.shared(program.tokensBuffer), chosen = buffers.shared(program.choice->tokens),
                largest = buffers.shared(program.choice->largest);
  QUANTC_TRY(buffers.clearOn(stream));
  for (Choice &choice : choices) {
    const SequenceStep part{0, {}, 0, 0, scalars};
    choice = {.past = valueOf(scalars, Scalar::Past)++, .token = token, .largest = 0};
    QUANTC_TRY(d.check(d.copyToDeviceAsync(buffers.pastOf(0), &choice.past, sizeof(choice.past), stream),
                       "copying to the GPU"));
    QUANTC_TRY(d.check(&choice == &choices.front()
                           ? d.copyToDeviceAsync(tokens, &choice.token, sizeof(choice.token), stream)
                           : d.copyOnDeviceAsync(tokens, chosen, sizeof(choice.token), stream),
                       "copying a token"));
    QUANTC_TRY(compute(std::span(&part, 1), part.scalars));
    QUANTC_TRY(d.check(d.copyToHostAsync(&choice.token, chosen, sizeof(choice.token), stream), "copying from the GPU"));
    QUANTC_TRY(
        d.check(d.copyToHostAsync(&choice.largest, largest, sizeof(choice.largest), stream), "copying from the GPU"));
  }
  return {};
}

Status DeviceExecutor::checkNotLost() const {
  if (lost)
    return fail("the GPU has been lost in an earlier step ({}); start the program again", lost->message);
  return {};
}

/// One step; what leaves it stands one behind the other.
Result<const std::byte *> DeviceExecutor::step(std::span<const SequenceStep> parts, const Scalars &all,
                                               const float *entering, std::span<const Leaving> leaving, bool wantsTop) {
  QUANTC_TRY(checkNotLost());
  QUANTC_ASSIGN(const Device::Current current, model->device()->makeCurrent());
  uint64_t bytes = 0;
  for (const Leaving &one : leaving)
    bytes += one.bytes;
  QUANTC_TRY(buffers.reserve(bytes));
  QUANTC_TRY(onStream([&] { return enqueue(parts, all, entering, leaving, wantsTop); }));
  return buffers.leaving();
}

Result<const float *> DeviceExecutor::run(std::span<const SequenceStep> parts, const Scalars &all,
                                          const float *entering) {
  const Leaving leaving{leavingBuffer(model->program(), stages), leavingBytes(all)};
  QUANTC_ASSIGN(const std::byte *left, step(parts, all, entering, std::span(&leaving, 1)));
  return reinterpret_cast<const float *>(left);
}

int64_t DeviceExecutor::topLogits() const {
  const GPUProgram &program = model->program();
  if (!program.top || stages != program.allStages())
    return 0;
  return static_cast<int64_t>(program.buffers[program.top->logits].perToken / sizeof(float));
}

Result<TopLogits> DeviceExecutor::runTop(std::span<const SequenceStep> parts, const Scalars &all) {
  const int64_t count = topLogits();
  if (!count)
    return Executor::runTop(parts, all);
  const TopEntry &top = *model->program().top;
  const auto numbers = static_cast<size_t>(count * valueOf(all, Scalar::Rows));
  const Leaving leaving[] = {{top.tokens, numbers * sizeof(int32_t)}, {top.logits, numbers * sizeof(float)}};
  QUANTC_ASSIGN(const std::byte *left, step(parts, all, nullptr, leaving, /*wantsTop=*/true));
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
  QUANTC_TRY(buffers.reserve(steps * sizeof(Choice)));
  const std::span choices(reinterpret_cast<Choice *>(buffers.leaving()), steps);
  QUANTC_TRY(onStream([&] { return enqueueChoices(choices, token, first); }));
  if (std::ranges::all_of(choices, [](float largest) { return std::isfinite(largest); }, &Choice::largest))
    std::ranges::copy(choices | std::views::transform(&Choice::token), std::back_inserter(tokens));
  return tokens;
}

Result<std::unique_ptr<Executor>> cuda::createExecutor(std::shared_ptr<const DeviceModel> model,
                                                       const ExecutorOptions &options) {
  return DeviceExecutor::create(std::move(model), options);
}
