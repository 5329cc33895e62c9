//===- Session.cpp - one sequence being computed: buffers, KV cache, steps --------------------------------------===//

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
  const int64_t positions = options.context ? options.context : model->context();
  const int64_t context = (positions + positionAlignment - 1) / positionAlignment * positionAlignment;
  const ExecutorOptions sizes{.context = context,
                              .chunk =
                                  std::min({options.chunk, context, model->onDevice() ? cuda::mostTokens : context}),
                              .threads = options.threads,
                              .memoryLimit = options.memoryLimit};
  QUANTC_ASSIGN(auto executor,
                model->onDevice() ? cuda::createExecutor(model->onDevice(), sizes) : createCpuExecutor(model, sizes));
  return std::unique_ptr<Session>(new Session(std::move(model), context, sizes.chunk, std::move(executor)));
}

Session::Session(std::shared_ptr<const Model> model, int64_t context, int64_t chunk, std::unique_ptr<Executor> executor)
    : program(std::move(model)), contextCapacity(context), chunkCapacity(chunk), executor(std::move(executor)) {}

Session::~Session() = default;

unsigned Session::threads() const {
  return executor->threads();
}

uint64_t Session::bufferBytes() const {
  return executor->bufferBytes();
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
  const ProgramEntry &steps = program->program();
  const int64_t wanted = rows == Rows::All ? count : 1;
  // Sizes of the buffer in this step, not of what is allocated: the kernels go by them.
  const auto logitBytes = bufferSize(steps.buffers[steps.logitsBuffer], count, contextCapacity);
  const int64_t possible = static_cast<int64_t>(*logitBytes / (sizeof(float) * program->vocab()));
  if (wanted > possible)
    return fail("this model computes logits for {} token of a step; {} were asked for", possible, wanted);

  Scalars scalars;
  valueOf(scalars, Scalar::Tokens) = count;
  valueOf(scalars, Scalar::Past) = past();
  valueOf(scalars, Scalar::Context) = contextCapacity;
  valueOf(scalars, Scalar::Rows) = wanted;
  QUANTC_ASSIGN(const float *logits, executor->run(tokens, scalars));
  history.insert(history.end(), tokens.begin(), tokens.end());
  return std::span(logits, static_cast<size_t>(wanted * program->vocab()));
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
  executor->clear();
}
