//===- Session.cpp - one sequence being computed: buffers, KV cache, steps --------------------------------------===//

#include "quantc/Runtime/Session.h"
#include "quantc/Runtime/Memory.h"
#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <ranges>

using namespace quantc;

//===- Buffers --------------------------------------------------------------------------------------------------===//

namespace {

constexpr int64_t positionAlignment = 16; // the KV cache's lanes
constexpr uint64_t bufferAlignment = 64;

using MaybeBytes = std::optional<uint64_t>;

/// a · b + c, or nothing where it does not fit.
MaybeBytes multiplyAdd(uint64_t a, uint64_t b, uint64_t c) {
  uint64_t product, sum;
  if (__builtin_mul_overflow(a, b, &product) || __builtin_add_overflow(product, c, &sum))
    return std::nullopt;
  return sum;
}

MaybeBytes bufferSize(const BufferEntry &buffer, int64_t chunk, int64_t context) {
  const MaybeBytes withTokens = multiplyAdd(buffer.perToken, chunk, buffer.bytes);
  return withTokens ? multiplyAdd(buffer.perContext, context, *withTokens) : std::nullopt;
}

/// Where each buffer begins in the memory of its kind.
struct Layout {
  std::vector<uint64_t> offsets;
  uint64_t persistent = 0, transient = 0; ///< Bytes of both kinds of memory.
};

/// Nothing where the sizes overflow.
std::optional<Layout> layOut(const std::vector<BufferEntry> &buffers, int64_t chunk, int64_t context) {
  // More than any machine has, and small enough that two of them can be added.
  constexpr uint64_t most = UINT64_MAX / 4;
  Layout layout;
  for (const BufferEntry &buffer : buffers) {
    const MaybeBytes size = bufferSize(buffer, chunk, context);
    if (!size || *size > most)
      return std::nullopt;
    uint64_t &end = buffer.persistent ? layout.persistent : layout.transient;
    layout.offsets.push_back(end);
    end += (*size + bufferAlignment - 1) / bufferAlignment * bufferAlignment;
    if (end > most)
      return std::nullopt;
  }
  return layout;
}

MaybeBytes totalBytes(const std::vector<BufferEntry> &buffers, int64_t chunk, int64_t context) {
  const auto layout = layOut(buffers, chunk, context);
  return layout ? MaybeBytes(layout->persistent + layout->transient) : std::nullopt;
}

/// The error that says what would fit.
tl::unexpected<Error> tooLarge(const std::vector<BufferEntry> &buffers, int64_t chunk, int64_t context,
                               uint64_t available) {
  const auto fits = [&](int64_t units) {
    const MaybeBytes bytes = totalBytes(buffers, chunk, units * positionAlignment);
    return bytes && *bytes <= available;
  };
  const auto units = std::views::iota(int64_t(1), context / positionAlignment + 1);
  // The whole context does not fit, so that there is a first one that does not.
  const int64_t most = (*std::ranges::partition_point(units, fits) - 1) * positionAlignment;
  const MaybeBytes bytes = totalBytes(buffers, chunk, context);
  const std::string needed = bytes ? fmt::format("{} bytes", *bytes) : "more bytes than can be addressed";
  const std::string advice =
      most ? fmt::format("{} positions would fit", most) : fmt::format("ask for a smaller chunk than {}", chunk);
  return fail("a context of {} positions needs {} of buffers, {} are available; {}", context, needed, available,
              advice);
}

} // namespace

struct Session::Buffers {
  Memory persistent, transient;
  std::vector<std::byte *> addresses; ///< In the manifest's order.
};

//===- Launches -------------------------------------------------------------------------------------------------===//

namespace {

/// The scalars of one step, in the order of the enumeration Scalar.
using Scalars = std::array<int64_t, 4>;

/// A launch whose addresses are known; the scalars are filled in at each step.
struct BoundLaunch {
  size_t kernel, stage;
  std::vector<int64_t> args;
  std::vector<std::pair<size_t, Scalar>> scalars; ///< Which argument is which scalar.
};

} // namespace

struct Session::Launcher {
  std::unique_ptr<ThreadPool> pool;
  std::vector<BoundLaunch> launches;

  Status run(const Model &model, const Scalars &scalars);
};

Status Session::Launcher::run(const Model &model, const Scalars &scalars) {
  for (BoundLaunch &launch : launches) {
    for (const auto &[position, scalar] : launch.scalars)
      launch.args[position] = scalars[static_cast<size_t>(scalar)];
    const Model::Kernel &kernel = model.kernels()[launch.kernel];
    const int64_t tasks = kernel.tasks(launch.args.data());
    if (tasks < 0 || tasks > ThreadPool::maxTasks)
      return fail("stage {}: kernel {} asks for {} tasks: the artifact's code is damaged",
                  model.manifest().stages[launch.stage].name, model.manifest().kernels[launch.kernel].name, tasks);
    pool->run(kernel.run, launch.args.data(), tasks);
  }
  return {};
}

//===- Sessions -------------------------------------------------------------------------------------------------===//

Result<std::unique_ptr<Session>> Session::create(std::shared_ptr<const Model> model, const SessionOptions &options) {
  const Manifest &manifest = model->manifest();
  if (options.context < 0)
    return fail("the context is {}; give a number of positions > 0", options.context);
  if (options.chunk <= 0)
    return fail("the chunk is {}; give a number of tokens > 0", options.chunk);
  if (options.context > model->context())
    return fail("a context of {} positions was asked for; the model was compiled for at most {}", options.context,
                model->context());
  const int64_t positions = options.context ? options.context : model->context();
  const int64_t context = (positions + positionAlignment - 1) / positionAlignment * positionAlignment;
  const int64_t chunk = std::min(options.chunk, context);

  const uint64_t available = options.memoryLimit ? options.memoryLimit : availableMemory();
  const auto layout = layOut(manifest.buffers, chunk, context);
  if (!layout || layout->persistent + layout->transient > available)
    return tooLarge(manifest.buffers, chunk, context, available);

  auto buffers = std::make_unique<Buffers>();
  QUANTC_ASSIGN(buffers->persistent, Memory::allocate(layout->persistent));
  QUANTC_ASSIGN(buffers->transient, Memory::allocate(layout->transient));
  for (size_t i = 0; i < manifest.buffers.size(); ++i)
    buffers->addresses.push_back((manifest.buffers[i].persistent ? buffers->persistent : buffers->transient).data() +
                                 layout->offsets[i]);

  auto launcher = std::make_unique<Launcher>();
  QUANTC_ASSIGN(launcher->pool, ThreadPool::create(options.threads));
  for (size_t stage = 0; stage < manifest.stages.size(); ++stage)
    for (const LaunchEntry &launch : manifest.stages[stage].launches) {
      BoundLaunch &bound = launcher->launches.emplace_back(BoundLaunch{launch.kernel, stage, {}, {}});
      for (const ArgEntry &arg : launch.args)
        switch (arg.kind) {
        case ArgKind::Buffer:
          bound.args.push_back(reinterpret_cast<int64_t>(buffers->addresses[arg.index]));
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
  return std::unique_ptr<Session>(
      new Session(std::move(model), context, chunk, std::move(buffers), std::move(launcher)));
}

Session::Session(std::shared_ptr<const Model> model, int64_t context, int64_t chunk, std::unique_ptr<Buffers> buffers,
                 std::unique_ptr<Launcher> launcher)
    : program(std::move(model)), contextCapacity(context), chunkCapacity(chunk), buffers(std::move(buffers)),
      launcher(std::move(launcher)) {}

Session::~Session() = default;

unsigned Session::threads() const {
  return launcher->pool->threads();
}

uint64_t Session::bufferBytes() const {
  return buffers->persistent.size() + buffers->transient.size();
}

Status Session::check(std::span<const int32_t> tokens) const {
  if (tokens.empty())
    return fail("no tokens to compute; give at least one");
  if (tokens.size() > static_cast<uint64_t>(context() - past()))
    return fail("{} tokens after {} do not fit the context of {}; shorten the input or ask for a larger context",
                tokens.size(), past(), context());
  for (int32_t token : tokens)
    if (token < 0 || token >= program->vocab())
      return fail("token {} is outside the vocabulary of {} tokens", token, program->vocab());
  return {};
}

Result<std::span<const float>> Session::step(std::span<const int32_t> tokens, Rows rows) {
  QUANTC_TRY(check(tokens));
  const int64_t count = static_cast<int64_t>(tokens.size());
  if (count > chunk())
    return fail("a step of {} tokens; this session takes at most {} in a step", count, chunk());
  const Manifest &manifest = program->manifest();
  const int64_t wanted = rows == Rows::All ? count : 1;
  // Sizes of the buffer in this step, not of what is allocated: the kernels go by them.
  const MaybeBytes logitBytes = bufferSize(manifest.buffers[manifest.logitsBuffer], count, contextCapacity);
  const int64_t possible = static_cast<int64_t>(*logitBytes / (sizeof(float) * program->vocab()));
  if (wanted > possible)
    return fail("this model computes logits for {} token of a step; {} were asked for", possible, wanted);

  std::memcpy(buffers->addresses[manifest.tokensBuffer], tokens.data(), tokens.size_bytes());
  Scalars scalars;
  scalars[static_cast<size_t>(Scalar::Tokens)] = count;
  scalars[static_cast<size_t>(Scalar::Past)] = past();
  scalars[static_cast<size_t>(Scalar::Context)] = contextCapacity;
  scalars[static_cast<size_t>(Scalar::Rows)] = wanted;
  QUANTC_TRY(launcher->run(*program, scalars));
  history.insert(history.end(), tokens.begin(), tokens.end());
  return std::span(reinterpret_cast<const float *>(buffers->addresses[manifest.logitsBuffer]),
                   static_cast<size_t>(wanted * program->vocab()));
}

Result<std::span<const float>> Session::prefill(std::span<const int32_t> tokens) {
  QUANTC_TRY(check(tokens));
  const size_t most = static_cast<size_t>(chunk());
  for (; tokens.size() > most; tokens = tokens.subspan(most))
    QUANTC_TRY(step(tokens.first(most)));
  return step(tokens);
}

Status Session::rewind(int64_t length) {
  if (length < 0 || length > past())
    return fail("cannot rewind to position {}: the session holds {} tokens", length, past());
  if (length == 0)
    reset();
  history.resize(length);
  return {};
}

void Session::reset() {
  history.clear();
  buffers->persistent.clear();
}
