//===- CAPI.cpp - quantc-c/quantc.h over the C++ classes --------------------------------------------------------===//

#include "quantc-c/quantc.h"
#include "quantc/Runtime/Generator.h"
#include "quantc/Support/Message.h"
#include <algorithm>
#include <cstring>
#include <exception>

using namespace quantc;

struct quantc_model {
  std::shared_ptr<const Model> model;
};

struct quantc_session {
  std::unique_ptr<Session> session;
};

namespace {

quantc_status report(quantc_error *error, quantc_status status, std::string_view text) {
  if (error) {
    const std::string message = oneLine(std::string(text));
    const size_t length = std::min(message.size(), sizeof error->message - 1);
    std::memcpy(error->message, message.data(), length);
    error->message[length] = '\0';
  }
  return status;
}

quantc_status isNull(quantc_error *error, std::string_view what) {
  return report(error, QUANTC_INVALID_ARGUMENT, fmt::format("{} is NULL", what));
}

/// Runs `body`, which returns a Status; an exception (no memory) becomes a status too.
template <typename Body> quantc_status guarded(quantc_error *error, Body body) {
  try {
    if (const Status status = body(); !status)
      return report(error, QUANTC_FAILED, status.error().message);
    return QUANTC_OK;
  } catch (const std::exception &exception) {
    return report(error, QUANTC_FAILED, exception.what());
  }
}

/// Copies a struct of the caller, who may have been compiled against an older or newer version of it: fields that the
/// caller does not know keep their defaults. Fails where the caller knows more than this library.
template <typename Options> bool readOptions(const Options *given, Options &options) {
  if (!given)
    return true;
  if (given->size < sizeof(size_t) || given->size > sizeof(Options))
    return false;
  std::memcpy(&options, given, given->size);
  return true;
}

constexpr std::string_view unknownSize =
    "a struct of unknown size: start from its default, and use a library at least as new as the header";

std::span<const int32_t> tokensOf(const int32_t *tokens, size_t count) {
  return {tokens, tokens ? count : 0};
}

} // namespace

extern "C" {

uint32_t quantc_api_version(void) {
  return QUANTC_API_VERSION;
}

//===- Models ---------------------------------------------------------------------------------------------------===//

quantc_load_options quantc_load_options_default(void) {
  return {sizeof(quantc_load_options), nullptr, QUANTC_DEVICE_CPU, nullptr, -1};
}

quantc_status quantc_model_load_with(const char *path, const quantc_load_options *options, quantc_model **model,
                                     quantc_error *error) {
  if (!path || !model)
    return isNull(error, !path ? "path" : "model");
  *model = nullptr;
  quantc_load_options wanted = quantc_load_options_default();
  if (!readOptions(options, wanted))
    return report(error, QUANTC_INVALID_ARGUMENT, unknownSize);
  if (wanted.device != QUANTC_DEVICE_CPU && wanted.device != QUANTC_DEVICE_CUDA)
    return report(error, QUANTC_INVALID_ARGUMENT, "there is no such device");
  return guarded(error, [&]() -> Status {
    LoadOptions load = {.target = wanted.target ? wanted.target : "",
                        .device = wanted.device == QUANTC_DEVICE_CUDA ? DeviceKind::Cuda : DeviceKind::Cpu,
                        .cudaLibrary = wanted.cuda_library ? wanted.cuda_library : ""};
    if (wanted.gpu_layers >= 0)
      load.gpuLayers = wanted.gpu_layers;
    QUANTC_ASSIGN(auto loaded, Model::load(path, load));
    *model = new quantc_model{std::move(loaded)};
    return {};
  });
}

quantc_status quantc_model_load(const char *path, const char *target, quantc_model **model, quantc_error *error) {
  quantc_load_options options = quantc_load_options_default();
  options.target = target;
  return quantc_model_load_with(path, &options, model, error);
}

void quantc_model_free(quantc_model *model) {
  delete model;
}
int64_t quantc_model_context(const quantc_model *model) {
  return model ? model->model->context() : 0;
}
int64_t quantc_model_vocab(const quantc_model *model) {
  return model ? model->model->vocab() : 0;
}
const char *quantc_model_target(const quantc_model *model) {
  return model ? model->model->target().c_str() : "";
}
const char *quantc_model_manifest(const quantc_model *model) {
  return model ? model->model->artifact().manifestText().c_str() : "";
}

//===- Sessions -------------------------------------------------------------------------------------------------===//

quantc_session_options quantc_session_options_default(void) {
  const SessionOptions defaults;
  return {sizeof(quantc_session_options), defaults.context,  defaults.chunk, defaults.threads,
          defaults.memoryLimit,           defaults.sequences};
}

quantc_status quantc_session_create(quantc_model *model, const quantc_session_options *options,
                                    quantc_session **session, quantc_error *error) {
  if (!model || !session)
    return isNull(error, !model ? "model" : "session");
  *session = nullptr;
  quantc_session_options wanted = quantc_session_options_default();
  if (!readOptions(options, wanted))
    return report(error, QUANTC_INVALID_ARGUMENT, unknownSize);
  return guarded(error, [&]() -> Status {
    QUANTC_ASSIGN(auto created, Session::create(model->model, {.context = wanted.context,
                                                               .chunk = wanted.chunk,
                                                               .threads = wanted.threads,
                                                               .memoryLimit = wanted.memory_limit,
                                                               .sequences = wanted.sequences}));
    *session = new quantc_session{std::move(created)};
    return {};
  });
}

void quantc_session_free(quantc_session *session) {
  delete session;
}
int64_t quantc_session_context(const quantc_session *session) {
  return session ? session->session->context() : 0;
}
int64_t quantc_session_chunk(const quantc_session *session) {
  return session ? session->session->chunk() : 0;
}
int64_t quantc_session_past(const quantc_session *session) {
  return session ? session->session->past() : 0;
}

quantc_status quantc_session_step(quantc_session *session, const int32_t *tokens, size_t count, bool all_rows,
                                  const float **logits, quantc_error *error) {
  if (!session || !logits)
    return isNull(error, !session ? "session" : "logits");
  return guarded(error, [&]() -> Status {
    QUANTC_ASSIGN(const auto computed,
                  session->session->step(tokensOf(tokens, count), all_rows ? Rows::All : Rows::Last));
    *logits = computed.data();
    return {};
  });
}

quantc_status quantc_session_prefill(quantc_session *session, const int32_t *tokens, size_t count, const float **logits,
                                     quantc_error *error) {
  if (!session || !logits)
    return isNull(error, !session ? "session" : "logits");
  return guarded(error, [&]() -> Status {
    QUANTC_ASSIGN(const auto computed, session->session->prefill(tokensOf(tokens, count)));
    *logits = computed.data();
    return {};
  });
}

quantc_status quantc_session_rewind(quantc_session *session, int64_t length, quantc_error *error) {
  if (!session)
    return isNull(error, "session");
  return guarded(error, [&] { return session->session->rewind(length); });
}

quantc_status quantc_session_step_sequences(quantc_session *session, const quantc_sequence_tokens *parts, size_t count,
                                            bool all_rows, const float **logits, quantc_error *error) {
  if (!session || !parts || !logits)
    return isNull(error, !session ? "session" : !parts ? "parts" : "logits");
  return guarded(error, [&]() -> Status {
    std::vector<SequenceTokens> sequences;
    for (const quantc_sequence_tokens &part : std::span(parts, count))
      sequences.push_back({part.sequence, tokensOf(part.tokens, part.count)});
    QUANTC_ASSIGN(const auto computed, session->session->stepSequences(sequences, all_rows ? Rows::All : Rows::Last));
    *logits = computed.data();
    return {};
  });
}

quantc_status quantc_session_rewind_sequence(quantc_session *session, int64_t sequence, int64_t length,
                                             quantc_error *error) {
  if (!session)
    return isNull(error, "session");
  return guarded(error, [&] { return session->session->rewind(length, sequence); });
}

//===- Generation -----------------------------------------------------------------------------------------------===//

quantc_generate_options quantc_generate_options_default(void) {
  const GenerateOptions defaults;
  const SamplingOptions &sampling = defaults.sampling;
  return {.size = sizeof(quantc_generate_options),
          .max_tokens = defaults.maxTokens,
          .temperature = sampling.temperature,
          .top_k = sampling.topK,
          .top_p = sampling.topP,
          .min_p = sampling.minP,
          .repetition_penalty = sampling.repetitionPenalty,
          .penalty_window = sampling.penaltyWindow,
          .seed = sampling.seed,
          .stop_tokens = nullptr,
          .stop_count = 0,
          .ignore_end = defaults.ignoreEnd};
}

quantc_status quantc_generate(quantc_session *session, const int32_t *prompt, size_t count,
                              const quantc_generate_options *options, quantc_token_callback on_token, void *user,
                              quantc_generation *result, quantc_error *error) {
  if (!session)
    return isNull(error, "session");
  quantc_generate_options wanted = quantc_generate_options_default();
  quantc_generation summary{};
  if (!readOptions(options, wanted) || !readOptions(result, summary))
    return report(error, QUANTC_INVALID_ARGUMENT, unknownSize);
  return guarded(error, [&]() -> Status {
    const auto stops = tokensOf(wanted.stop_tokens, wanted.stop_count);
    GenerateOptions generation{.maxTokens = wanted.max_tokens,
                               .sampling = {.temperature = wanted.temperature,
                                            .topK = wanted.top_k,
                                            .topP = wanted.top_p,
                                            .minP = wanted.min_p,
                                            .repetitionPenalty = wanted.repetition_penalty,
                                            .penaltyWindow = wanted.penalty_window,
                                            .seed = wanted.seed},
                               .stopTokens = {stops.begin(), stops.end()},
                               .ignoreEnd = wanted.ignore_end};
    TokenCallback callback;
    if (on_token)
      callback = [&](int32_t token) { return on_token(user, token); };
    QUANTC_ASSIGN(const Generation done, generate(*session->session, tokensOf(prompt, count), generation, callback));
    if (result) {
      const quantc_generation filled{.size = result->size,
                                     .tokens = static_cast<int64_t>(done.tokens.size()),
                                     .reason = static_cast<quantc_stop_reason>(done.reason),
                                     .prefill_tokens_per_second = done.prefillTokensPerSecond(),
                                     .decode_tokens_per_second = done.decodeTokensPerSecond()};
      std::memcpy(result, &filled, result->size);
    }
    return {};
  });
}

} // extern "C"
