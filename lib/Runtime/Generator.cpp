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

namespace {
/// One output as it is drawn.
class Generating {
public:
  Generating(Session &session, const GenerateOptions &options, const TokenCallback &onToken, Sampler sampler)
      : session(session), options(options), onToken(onToken), sampler(std::move(sampler)) {}

  Status run(std::span<const int32_t> prompt);
  Generation out;

private:
  Result<std::span<const float>> prefill(std::span<const int32_t> prompt);
  bool isEnd(int32_t token) const;
  bool take(int32_t token);
  Result<std::vector<int32_t>> guess() const;
  Result<std::function<Result<int32_t>(size_t row)>> compute(std::span<const int32_t> tokens);
  Result<bool> step();
  Result<bool> choose();
  Status forgetRest();

  Session &session;
  const GenerateOptions &options;
  const TokenCallback &onToken;
  Sampler sampler;
  std::vector<int32_t> sequence; ///< of the prompt and what was drawn; the session lacks the last one
};
} // namespace

bool Generating::isEnd(int32_t token) const {
  return std::ranges::count(options.stopTokens, token) > 0 ||
         (!options.ignoreEnd && std::ranges::count(session.model().endTokens(), token) > 0);
}

/// The next token; false where it is the last one.
bool Generating::take(int32_t token) {
  if (isEnd(token)) {
    out.reason = StopReason::StopToken;
    return false;
  }
  sampler.accept(token);
  out.tokens.push_back(token);
  sequence.push_back(token);
  if (onToken && !onToken(token)) {
    out.reason = StopReason::Cancelled;
    return false;
  }
  if (std::ssize(out.tokens) == options.maxTokens) {
    out.reason = StopReason::MaxTokens;
    return false;
  }
  if (std::ssize(sequence) > session.context()) {
    out.reason = StopReason::ContextFull;
    return false;
  }
  return true;
}

/// The logits after the prompt.
Result<std::span<const float>> Generating::prefill(std::span<const int32_t> prompt) {
  for (int32_t token : prompt)
    sampler.accept(token);
  sequence.assign(prompt.begin(), prompt.end());
  out.promptTokens = std::ssize(prompt);
  const int64_t common = commonPrefix(prompt, session.tokens());
  out.prefillTokens = out.promptTokens - common;
  QUANTC_TRY(session.rewind(common));
  const auto start = std::chrono::steady_clock::now();
  QUANTC_ASSIGN(const auto logits, session.prefill(prompt.subspan(common)));
  out.prefillSeconds = secondsSince(start);
  return logits;
}

/// What the drafter guesses, as far as the output and the context may go.
Result<std::vector<int32_t>> Generating::guess() const {
  int64_t most = std::min({options.draftTokens, session.chunk() - 1, session.context() - session.past() - 1});
  if (options.maxTokens)
    most = std::min(most, options.maxTokens - std::ssize(out.tokens) - 1);
  if (!options.drafter || most <= 0)
    return std::vector<int32_t>();
  return options.drafter->propose(sequence, most);
}

/// One pass over some tokens; gives what draws from a row of its logits. No more of them is copied from a GPU than that
/// depends on.
Result<std::function<Result<int32_t>(size_t)>> Generating::compute(std::span<const int32_t> tokens) {
  if (const int64_t needed = sampler.logitsNeeded(); needed && needed <= session.topLogits()) {
    const SequenceTokens part{0, tokens};
    QUANTC_ASSIGN(const TopLogits top, session.stepTop(std::span(&part, 1), Rows::All));
    return [this, top](size_t row) { return sampler.sample(top.row(row)); };
  }
  QUANTC_ASSIGN(const auto logits, session.step(tokens, Rows::All));
  const auto vocab = static_cast<size_t>(session.model().vocab());
  return [this, logits, vocab](size_t row) { return sampler.sample(logits.subspan(row * vocab, vocab)); };
}

/// One pass over the last token and what is guessed to follow it; false where the output ended.
Result<bool> Generating::step() {
  QUANTC_ASSIGN(const std::vector<int32_t> guessed, guess());
  std::vector<int32_t> tokens{sequence.back()};
  tokens.insert(tokens.end(), guessed.begin(), guessed.end());
  QUANTC_ASSIGN(const auto sample, compute(tokens));
  ++out.decodeSteps;
  out.draftedTokens += std::ssize(guessed);
  bool more = true;
  for (size_t row = 0; row < tokens.size() && more; row++) {
    QUANTC_ASSIGN(const int32_t token, sample(row));
    more = take(token);
    ++out.decodeTokens;
    if (row == guessed.size() || out.tokens.back() != guessed[row] || out.reason == StopReason::StopToken)
      break;
    ++out.acceptedTokens;
  }
  QUANTC_TRY(forgetRest());
  return more;
}

/// Passes over one token each, where the most likely one is wanted: a GPU chooses it itself. False where the output
/// ended.
Result<bool> Generating::choose() {
  int64_t most = session.context() - session.past();
  if (options.maxTokens)
    most = std::min(most, options.maxTokens - std::ssize(out.tokens));
  QUANTC_ASSIGN(const std::vector<int32_t> chosen, session.chooseTokens(sequence.back(), most));
  out.decodeSteps += std::ssize(chosen);
  bool more = true;
  for (size_t i = 0; i < chosen.size() && more; i++) {
    more = take(chosen[i]);
    ++out.decodeTokens;
  }
  QUANTC_TRY(forgetRest());
  return more;
}

/// What the session has computed beyond the sequence.
Status Generating::forgetRest() {
  // A stop token is no part of the sequence; any other token that was drawn last is not computed yet.
  return session.rewind(std::ssize(sequence) - (out.reason == StopReason::StopToken ? 0 : 1));
}

Status Generating::run(std::span<const int32_t> prompt) {
  QUANTC_ASSIGN(const auto logits, prefill(prompt));
  const auto start = std::chrono::steady_clock::now();
  QUANTC_ASSIGN(const int32_t first, sampler.sample(logits));
  bool more = take(first);
  const bool isGreedy = options.sampling.temperature == 0 && options.sampling.repetitionPenalty == 1;
  while (more) {
    QUANTC_ASSIGN(more, isGreedy && !options.drafter ? choose() : step());
  }
  out.decodeSeconds = secondsSince(start);
  return {};
}

Result<Generation> quantc::generate(Session &session, std::span<const int32_t> prompt, const GenerateOptions &options,
                                    const TokenCallback &onToken) {
  if (prompt.empty())
    return fail("the prompt has no tokens; give at least one");
  if (options.maxTokens < 0)
    return fail("{} tokens asked for; give a number >= 0 (0: as many as the context holds)", options.maxTokens);
  if (std::ssize(prompt) > session.context())
    return fail("the prompt has {} tokens, the context holds {}; shorten it or ask for a larger context", prompt.size(),
                session.context());
  QUANTC_ASSIGN(Sampler sampler, Sampler::create(options.sampling));
  Generating generating(session, options, onToken, std::move(sampler));
  QUANTC_TRY(generating.run(prompt));
  return std::move(generating.out);
}
