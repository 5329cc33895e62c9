//===- Session.cpp - sequences being computed: buffers, KV caches, steps ----------------------------------------===//

#include "quantc/Runtime/Session.h"
#include "quantc/Runtime/Memory.h"
#include <algorithm>
#include <array>
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

MaybeBytes totalBytes(const Layout &layout, int64_t sequences) {
  return multiplyAdd(layout.persistent, static_cast<uint64_t>(sequences), layout.transient);
}

MaybeBytes totalBytes(const std::vector<BufferEntry> &buffers, int64_t chunk, int64_t context, int64_t sequences) {
  const auto layout = layOut(buffers, chunk, context);
  return layout ? totalBytes(*layout, sequences) : std::nullopt;
}

/// The error that says what would fit.
tl::unexpected<Error> tooLarge(const std::vector<BufferEntry> &buffers, int64_t chunk, int64_t context,
                               int64_t sequences, uint64_t available) {
  const auto fits = [&](int64_t units) {
    const MaybeBytes bytes = totalBytes(buffers, chunk, units * positionAlignment, sequences);
    return bytes && *bytes <= available;
  };
  const auto units = std::views::iota(int64_t(1), context / positionAlignment + 1);
  // The whole context does not fit, so that there is a first one that does not.
  const int64_t most = (*std::ranges::partition_point(units, fits) - 1) * positionAlignment;
  const MaybeBytes bytes = totalBytes(buffers, chunk, context, sequences);
  const std::string needed = bytes ? fmt::format("{} bytes", *bytes) : "more bytes than can be addressed";
  const std::string advice =
      most ? fmt::format("{} positions would fit", most) : fmt::format("ask for a smaller chunk than {}", chunk);
  const std::string each = sequences > 1 ? fmt::format(" for each of {} sequences", sequences) : "";
  return fail("a context of {} positions{} needs {} of buffers, {} are available; {}", context, each, needed, available,
              advice);
}

} // namespace

struct Session::Buffers {
  std::vector<Memory> persistent; ///< Of each sequence.
  Memory transient;
  Layout layout;

  /// Of a buffer, in the manifest's order.
  std::byte *address(const Manifest &manifest, size_t buffer, int64_t sequence) const {
    const Memory &memory = manifest.buffers[buffer].persistent ? persistent[sequence] : transient;
    return const_cast<Memory &>(memory).data() + layout.offsets[buffer];
  }
};

//===- Launches -------------------------------------------------------------------------------------------------===//

namespace {

/// The scalars of one step, in the order of the enumeration Scalar.
using Scalars = std::array<int64_t, 4>;

/// What a step computes of one sequence, and where that lies among the tokens and rows of all.
struct Part {
  int64_t sequence, firstToken, firstRow;
  Scalars scalars;
};

/// A launch whose addresses are known; what differs from step to step is filled in at each.
struct BoundLaunch {
  /// A buffer that lies elsewhere for each sequence: its KV cache, or its rows of what all share.
  struct Place {
    size_t argument, buffer;
    uint64_t row;
    bool countsRows; ///< Rows of logits, not tokens.
  };
  size_t kernel, stage;
  bool ofSequence = false; ///< Runs for each sequence by itself.
  std::vector<int64_t> args;
  std::vector<std::pair<size_t, Scalar>> scalars; ///< Which argument is which scalar.
  std::vector<Place> places;                      ///< Where it is of a sequence.
};

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

/// A launch reads or writes what belongs to one sequence: a KV cache, positions, or the last of its tokens.
bool isOfSequence(const Manifest &manifest, const LaunchEntry &launch) {
  bool tokens = false, rows = false, own = false;
  for (const ArgEntry &arg : launch.args) {
    own |= arg.kind == ArgKind::Buffer && manifest.buffers[arg.index].persistent;
    own |= arg.kind == ArgKind::Scalar && arg.scalar == Scalar::Past;
    tokens |= arg.kind == ArgKind::Scalar && arg.scalar == Scalar::Tokens;
    rows |= arg.kind == ArgKind::Scalar && arg.scalar == Scalar::Rows;
  }
  return own || (tokens && rows);
}

} // namespace

struct Session::Launcher {
  std::unique_ptr<ThreadPool> pool;
  std::vector<BoundLaunch> launches;

  Status run(const Model &model, const Buffers &buffers, const Scalars &all, std::span<const Part> parts);

private:
  void fill(const Model &model, const Buffers &buffers, const Part &part, const BoundLaunch &launch,
            std::vector<int64_t> &args) const;
  Joint joint;
};

/// The arguments of a launch for one sequence.
void Session::Launcher::fill(const Model &model, const Buffers &buffers, const Part &part, const BoundLaunch &launch,
                             std::vector<int64_t> &args) const {
  for (const auto &[position, scalar] : launch.scalars)
    args[position] = part.scalars[static_cast<size_t>(scalar)];
  for (const BoundLaunch::Place &place : launch.places)
    args[place.argument] = reinterpret_cast<int64_t>(buffers.address(model.manifest(), place.buffer, part.sequence)) +
                           static_cast<int64_t>(place.row) * (place.countsRows ? part.firstRow : part.firstToken);
}

Status Session::Launcher::run(const Model &model, const Buffers &buffers, const Scalars &all,
                              std::span<const Part> parts) {
  const Part everything{0, 0, 0, all};
  for (BoundLaunch &launch : launches) {
    const Model::Kernel &kernel = model.kernels()[launch.kernel];
    const auto of = launch.ofSequence ? parts : std::span(&everything, 1);
    joint.kernel = kernel.run;
    joint.args.assign(of.size(), launch.args);
    joint.ends.clear();
    int64_t tasks = 0;
    for (size_t i = 0; i < of.size(); ++i) {
      fill(model, buffers, of[i], launch, joint.args[i]);
      const int64_t more = kernel.tasks(joint.args[i].data());
      if (more < 0 || more > ThreadPool::maxTasks - tasks)
        return fail("stage {}: kernel {} asks for {} tasks: the artifact's code is damaged",
                    model.manifest().stages[launch.stage].name, model.manifest().kernels[launch.kernel].name, more);
      joint.ends.push_back(tasks += more);
    }
    if (of.size() == 1)
      pool->run(kernel.run, joint.args[0].data(), tasks);
    else
      pool->run(Joint::run, reinterpret_cast<const int64_t *>(&joint), tasks);
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
  if (options.sequences < 1)
    return fail("{} sequences; a session has at least one", options.sequences);
  const int64_t positions = options.context ? options.context : model->context();
  const int64_t context = (positions + positionAlignment - 1) / positionAlignment * positionAlignment;
  const int64_t chunk = std::min(options.chunk, context);

  const uint64_t available = options.memoryLimit ? options.memoryLimit : availableMemory();
  auto layout = layOut(manifest.buffers, chunk, context);
  const MaybeBytes bytes = layout ? totalBytes(*layout, options.sequences) : std::nullopt;
  if (!bytes || *bytes > available)
    return tooLarge(manifest.buffers, chunk, context, options.sequences, available);

  auto buffers = std::make_unique<Buffers>();
  buffers->layout = std::move(*layout);
  for (int64_t i = 0; i < options.sequences; ++i) {
    QUANTC_ASSIGN(Memory memory, Memory::allocate(buffers->layout.persistent));
    buffers->persistent.push_back(std::move(memory));
  }
  QUANTC_ASSIGN(buffers->transient, Memory::allocate(buffers->layout.transient));

  auto launcher = std::make_unique<Launcher>();
  QUANTC_ASSIGN(launcher->pool, ThreadPool::create(options.threads));
  for (size_t stage = 0; stage < manifest.stages.size(); ++stage)
    for (const LaunchEntry &launch : manifest.stages[stage].launches) {
      BoundLaunch &bound = launcher->launches.emplace_back(
          BoundLaunch{launch.kernel, stage, isOfSequence(manifest, launch), {}, {}, {}});
      for (size_t i = 0; i < launch.args.size(); ++i) {
        const ArgEntry &arg = launch.args[i];
        switch (arg.kind) {
        case ArgKind::Buffer: {
          const BufferEntry &buffer = manifest.buffers[arg.index];
          if (options.sequences > 1 && bound.ofSequence && !buffer.persistent &&
              (!arg.row || arg.row > buffer.perToken))
            return fail("the artifact does not say how its buffers lie for several sequences: compile the model again");
          // Its size follows a buffer.
          const bool countsRows = i + 1 < launch.args.size() && launch.args[i + 1].kind == ArgKind::Scalar &&
                                  launch.args[i + 1].scalar == Scalar::Rows;
          if (bound.ofSequence)
            bound.places.push_back({bound.args.size(), arg.index, buffer.persistent ? 0 : arg.row, countsRows});
          bound.args.push_back(reinterpret_cast<int64_t>(buffers->address(manifest, arg.index, 0)));
          break;
        }
        case ArgKind::Weight:
          bound.args.push_back(reinterpret_cast<int64_t>(model->weights()[arg.index]));
          break;
        case ArgKind::Scalar:
          bound.scalars.emplace_back(bound.args.size(), arg.scalar);
          bound.args.push_back(0);
          break;
        }
      }
    }
  return std::unique_ptr<Session>(
      new Session(std::move(model), context, chunk, std::move(buffers), std::move(launcher)));
}

Session::Session(std::shared_ptr<const Model> model, int64_t context, int64_t chunk, std::unique_ptr<Buffers> buffers,
                 std::unique_ptr<Launcher> launcher)
    : program(std::move(model)), contextCapacity(context), chunkCapacity(chunk), buffers(std::move(buffers)),
      launcher(std::move(launcher)), histories(this->buffers->persistent.size()) {}

Session::~Session() = default;

unsigned Session::threads() const {
  return launcher->pool->threads();
}

uint64_t Session::bufferBytes() const {
  return *totalBytes(buffers->layout, sequences());
}

Status Session::checkSequence(int64_t sequence) const {
  if (sequence < 0 || sequence >= sequences())
    return fail("there is no sequence {}; this session has {}", sequence, sequences());
  return {};
}

Status Session::check(const SequenceTokens &part) const {
  const auto &[sequence, tokens] = part;
  QUANTC_TRY(checkSequence(sequence));
  if (tokens.empty())
    return fail("no tokens to compute; give at least one");
  if (tokens.size() > static_cast<uint64_t>(context() - past(sequence)))
    return fail("{} tokens after {} do not fit the context of {}; shorten the input or ask for a larger context",
                tokens.size(), past(sequence), context());
  for (int32_t token : tokens)
    if (token < 0 || token >= program->vocab())
      return fail("token {} is outside the vocabulary of {} tokens", token, program->vocab());
  return {};
}

Status Session::checkParts(std::span<const SequenceTokens> parts) const {
  std::vector<bool> seen(histories.size());
  int64_t count = 0;
  for (const SequenceTokens &part : parts) {
    QUANTC_TRY(check(part));
    if (seen[part.sequence])
      return fail("sequence {} stands twice in a step; give all its tokens at once", part.sequence);
    seen[part.sequence] = true;
    count += std::ssize(part.tokens);
  }
  if (count == 0)
    return fail("no tokens to compute; give at least one");
  if (count > chunk())
    return fail("a step of {} tokens; this session takes at most {} in a step", count, chunk());
  return {};
}

Result<std::span<const float>> Session::step(std::span<const int32_t> tokens, Rows rows) {
  const SequenceTokens part{0, tokens};
  return stepSequences(std::span(&part, 1), rows);
}

Result<std::span<const float>> Session::stepSequences(std::span<const SequenceTokens> given, Rows rows) {
  QUANTC_TRY(checkParts(given));
  const Manifest &manifest = program->manifest();
  std::vector<Part> parts;
  int64_t tokens = 0, wanted = 0;
  auto *ids = reinterpret_cast<int32_t *>(buffers->address(manifest, manifest.tokensBuffer, 0));
  const auto scalars = [&](int64_t count, int64_t past, int64_t logits) {
    Scalars all;
    all[static_cast<size_t>(Scalar::Tokens)] = count;
    all[static_cast<size_t>(Scalar::Past)] = past;
    all[static_cast<size_t>(Scalar::Context)] = contextCapacity;
    all[static_cast<size_t>(Scalar::Rows)] = logits;
    return all;
  };
  for (const SequenceTokens &part : given) {
    const int64_t count = std::ssize(part.tokens), logits = rows == Rows::All ? count : 1;
    parts.push_back({part.sequence, tokens, wanted, scalars(count, past(part.sequence), logits)});
    tokens += count;
    wanted += logits;
  }
  // Sizes of the buffer in this step, not of what is allocated: the kernels go by them.
  const MaybeBytes logitBytes = bufferSize(manifest.buffers[manifest.logitsBuffer], tokens, contextCapacity);
  const int64_t possible = static_cast<int64_t>(*logitBytes / (sizeof(float) * program->vocab()));
  if (wanted > possible)
    return fail("this model computes logits for {} token of a step; {} were asked for", possible, wanted);

  for (size_t i = 0; i < given.size(); ++i)
    std::ranges::copy(given[i].tokens, ids + parts[i].firstToken);
  QUANTC_TRY(launcher->run(*program, *buffers, scalars(tokens, past(given.front().sequence), wanted), parts));
  for (const SequenceTokens &part : given)
    histories[part.sequence].insert(histories[part.sequence].end(), part.tokens.begin(), part.tokens.end());
  return std::span(reinterpret_cast<const float *>(buffers->address(manifest, manifest.logitsBuffer, 0)),
                   static_cast<size_t>(wanted * program->vocab()));
}

Result<std::span<const float>> Session::prefill(std::span<const int32_t> tokens, int64_t sequence) {
  QUANTC_TRY(check({sequence, tokens}));
  const size_t most = static_cast<size_t>(chunk());
  const auto pass = [&](std::span<const int32_t> some) {
    const SequenceTokens part{sequence, some};
    return stepSequences(std::span(&part, 1));
  };
  for (; tokens.size() > most; tokens = tokens.subspan(most))
    QUANTC_TRY(pass(tokens.first(most)));
  return pass(tokens);
}

Status Session::rewind(int64_t length, int64_t sequence) {
  QUANTC_TRY(checkSequence(sequence));
  if (length < 0 || length > past(sequence))
    return fail("cannot rewind to position {}: the session holds {} tokens", length, past(sequence));
  if (length == 0)
    buffers->persistent[sequence].clear();
  histories[sequence].resize(length);
  return {};
}

void Session::reset() {
  for (int64_t sequence = 0; sequence < sequences(); ++sequence)
    rewind(0, sequence);
}
