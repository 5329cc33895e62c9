//===- Generator.cpp - continues a sequence of tokens -----------------------------------------------------------===//

#include "quantc/Runtime/Generator.h"
#include <algorithm>
#include <chrono>

using namespace quantc;

std::string_view quantc::toString(StopReason reason) {
  switch (reason) {
  case StopReason::MaxTokens:
    return "max-tokens";
  case StopReason::StopToken:
    return "stop-token";
  case StopReason::ContextFull:
    return "context-full";
  case StopReason::Cancelled:
    return "cancelled";
  }
  return "";
}

static double secondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// How many tokens of the prompt the session need not compute: the logits of the last one are needed in any case.
static int64_t commonPrefix(std::span<const int32_t> prompt, std::span<const int32_t> computed) {
  const auto [end, unused] = std::ranges::mismatch(prompt.first(prompt.size() - 1), computed);
  return end - prompt.begin();
}

Result<Generation> quantc::generate(Session &session, std::span<const int32_t> prompt, const GenerateOptions &options,
                                    const TokenCallback &onToken) {
  if (prompt.empty())
    return fail("the prompt has no tokens; give at least one");
  if (options.maxTokens < 0)
    return fail("{} tokens asked for; give a number >= 0 (0: as many as the context holds)", options.maxTokens);
  if (static_cast<int64_t>(prompt.size()) > session.context())
    return fail("the prompt has {} tokens, the context holds {}; shorten it or ask for a larger context", prompt.size(),
                session.context());
  QUANTC_ASSIGN(Sampler sampler, Sampler::create(options.sampling));
  for (int32_t token : prompt)
    sampler.accept(token);

  Generation out;
  out.promptTokens = static_cast<int64_t>(prompt.size());
  const int64_t common = commonPrefix(prompt, session.tokens());
  out.prefillTokens = out.promptTokens - common;
  QUANTC_TRY(session.rewind(common));
  auto start = std::chrono::steady_clock::now();
  QUANTC_ASSIGN(auto logits, session.prefill(prompt.subspan(common)));
  out.prefillSeconds = secondsSince(start);

  const auto ends = [&](int32_t token) {
    return std::ranges::count(options.stopTokens, token) > 0 ||
           (!options.ignoreEnd && std::ranges::count(session.model().endTokens(), token) > 0);
  };
  start = std::chrono::steady_clock::now();
  while (true) {
    QUANTC_ASSIGN(const int32_t token, sampler.sample(logits));
    if (ends(token)) {
      out.reason = StopReason::StopToken;
      break;
    }
    sampler.accept(token);
    out.tokens.push_back(token);
    if (onToken && !onToken(token)) {
      out.reason = StopReason::Cancelled;
      break;
    }
    if (static_cast<int64_t>(out.tokens.size()) == options.maxTokens) {
      out.reason = StopReason::MaxTokens;
      break;
    }
    if (session.past() == session.context()) {
      out.reason = StopReason::ContextFull;
      break;
    }
    QUANTC_ASSIGN(logits, session.step({&token, 1}));
    ++out.decodeSteps;
  }
  out.decodeSeconds = secondsSince(start);
  return out;
}
