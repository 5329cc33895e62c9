//===- Session.cpp - sequences being computed: buffers, KV caches, steps ----------------------------------------===//

#include "quantc/Runtime/Session.h"
#include "BufferPlan.h"
#include "CUDA/DeviceExecutor.h"
#include "Executor.h"

using namespace quantc;

Result<std::unique_ptr<Session>> Session::create(std::shared_ptr<const Model> model, const SessionOptions &options) {
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
  const ExecutorOptions sizes{.stages = {},
                              .context = context,
                              .chunk =
                                  std::min({options.chunk, context, model->onDevice() ? cuda::mostTokens : context}),
                              .sequences = options.sequences,
                              .memoryLimit = options.memoryLimit,
                              .pool = {},
                              .observer = options.observer};
  QUANTC_ASSIGN(auto executor, createExecutor(model, sizes, options.threads));
  return std::unique_ptr<Session>(
      new Session(std::move(model), context, sizes.chunk, options.sequences, std::move(executor)));
}

Session::Session(std::shared_ptr<const Model> model, int64_t context, int64_t chunk, int64_t sequences,
                 std::unique_ptr<Executor> executor)
    : program(std::move(model)), contextCapacity(context), chunkCapacity(chunk), executor(std::move(executor)),
      histories(static_cast<size_t>(sequences)) {}

Session::~Session() = default;

unsigned Session::threads() const {
  return executor->threads();
}

uint64_t Session::bufferBytes() const {
  return executor->bufferBytes();
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

static Scalars scalarsOf(int64_t tokens, int64_t past, int64_t context, int64_t rows) {
  Scalars all;
  valueOf(all, Scalar::Tokens) = tokens;
  valueOf(all, Scalar::Past) = past;
  valueOf(all, Scalar::Context) = context;
  valueOf(all, Scalar::Rows) = rows;
  return all;
}

/// What a step computes: of each sequence, and the scalars of what they share.
struct Session::Step {
  std::vector<SequenceStep> parts;
  Scalars all;
};

Result<Session::Step> Session::plan(std::span<const SequenceTokens> given, Rows rows) const {
  QUANTC_TRY(checkParts(given));
  std::vector<SequenceStep> parts;
  int64_t tokens = 0, wanted = 0;
  for (const SequenceTokens &part : given) {
    const int64_t count = std::ssize(part.tokens), logits = rows == Rows::All ? count : 1;
    parts.push_back(
        {part.sequence, part.tokens, tokens, wanted, scalarsOf(count, past(part.sequence), contextCapacity, logits)});
    tokens += count;
    wanted += logits;
  }
  // Sizes of the buffer in this step, not of what is allocated: the kernels go by them.
  const ProgramEntry &steps = program->program();
  const auto logitBytes = bufferSize(steps.buffers[steps.logitsBuffer], tokens, contextCapacity);
  const int64_t possible = static_cast<int64_t>(*logitBytes / (sizeof(float) * program->vocab()));
  if (wanted > possible)
    return fail("this model computes logits for {} token of a step; {} were asked for", possible, wanted);
  return Step{std::move(parts), scalarsOf(tokens, past(given.front().sequence), contextCapacity, wanted)};
}

void Session::remember(std::span<const SequenceTokens> parts) {
  for (const auto &[sequence, tokens] : parts)
    histories[sequence].insert(histories[sequence].end(), tokens.begin(), tokens.end());
}

Result<std::span<const float>> Session::stepSequences(std::span<const SequenceTokens> given, Rows rows) {
  QUANTC_ASSIGN(const Step step, plan(given, rows));
  QUANTC_ASSIGN(const float *logits, executor->run(step.parts, step.all));
  remember(given);
  return std::span(logits, static_cast<size_t>(valueOf(step.all, Scalar::Rows) * program->vocab()));
}

int64_t Session::topLogits() const {
  return executor->topLogits();
}

Result<TopLogits> Session::stepTop(std::span<const SequenceTokens> given, Rows rows) {
  QUANTC_ASSIGN(const Step step, plan(given, rows));
  QUANTC_ASSIGN(const TopLogits top, executor->runTop(step.parts, step.all));
  remember(given);
  return top;
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

Result<std::vector<int32_t>> Session::chooseTokens(int32_t token, int64_t most) {
  const std::span one(&token, 1);
  QUANTC_TRY(check({0, one}));
  if (most < 1)
    return fail("{} tokens are to be chosen; ask for at least one", most);
  QUANTC_ASSIGN(std::vector<int32_t> chosen, executor->chooseTokens(token, std::min(most, context() - past()),
                                                                    scalarsOf(1, past(), contextCapacity, 1)));
  if (chosen.empty()) {
    QUANTC_ASSIGN(Sampler greedy, Sampler::create({}));
    QUANTC_ASSIGN(const auto logits, step(one));
    QUANTC_ASSIGN(const int32_t best, greedy.sample(logits));
    return std::vector{best};
  }
  histories[0].push_back(token);
  histories[0].insert(histories[0].end(), chosen.begin(), chosen.end() - 1);
  return chosen;
}

Status Session::rewind(int64_t length, int64_t sequence) {
  QUANTC_TRY(checkSequence(sequence));
  if (length < 0 || length > past(sequence))
    return fail("cannot rewind to position {}: the session holds {} tokens", length, past(sequence));
  if (length == 0)
    executor->clear(sequence);
  histories[sequence].resize(length);
  return {};
}

void Session::reset() {
  for (int64_t sequence = 0; sequence < sequences(); ++sequence)
    rewind(0, sequence);
}
