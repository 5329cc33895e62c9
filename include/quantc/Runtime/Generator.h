//===- Generator.h - continues a sequence of tokens -------------------------------------------------------------===//
#pragma once

#include "quantc/Runtime/Drafter.h"
#include "quantc/Runtime/Sampler.h"
#include <functional>
#include <string_view>

namespace quantc {

struct GenerateOptions {
  int64_t maxTokens = 128; ///< 0: as many as the context holds.
  SamplingOptions sampling = {};
  std::vector<int32_t> stopTokens = {}; ///< End the output beside the model's own end tokens.
  bool ignoreEnd = false;               ///< Go on after the model's own end tokens.
  Drafter *drafter = nullptr;           ///< Guesses tokens that one pass verifies; the output is the same without.
  int64_t draftTokens = 8;              ///< The most tokens guessed at a time.
};

/// Why an output ended.
enum class StopReason { MaxTokens, StopToken, ContextFull, Cancelled };
std::string_view toString(StopReason reason);

struct Generation {
  std::vector<int32_t> tokens; ///< Without the stop token.
  StopReason reason = StopReason::MaxTokens;
  int64_t promptTokens = 0;  ///< Of the whole prompt.
  int64_t prefillTokens = 0; ///< Of the prompt, computed by this call: the rest was in the KV cache.
  int64_t decodeSteps = 0;   ///< Passes of the model after the prompt's.
  int64_t decodeTokens = 0;  ///< Drawn from them, a stop token included.
  int64_t draftedTokens = 0, acceptedTokens = 0; ///< Guessed by the drafter; of them, what the model drew too.
  double prefillSeconds = 0, decodeSeconds = 0;

  double prefillTokensPerSecond() const { return prefillSeconds > 0 ? double(prefillTokens) / prefillSeconds : 0; }
  double decodeTokensPerSecond() const { return decodeSeconds > 0 ? double(decodeTokens) / decodeSeconds : 0; }
};

/// Called with each token as it is drawn; false ends the output after it.
using TokenCallback = std::function<bool(int32_t token)>;

/// Continues `prompt` (all tokens from position 0 on, at least one). What the session holds in common with it is not
/// computed again, so that a conversation passes its whole history each time; `reset` the session to measure.
Result<Generation> generate(Session &session, std::span<const int32_t> prompt, const GenerateOptions &options,
                            const TokenCallback &onToken = {});

} // namespace quantc
