//===- Evaluate.cpp - perplexity, KL divergence, top-1 agreement ------------------------------------------------===//

#include "quantc/Runtime/Evaluate.h"
#include <algorithm>
#include <cassert>
#include <cmath>

using namespace quantc;

namespace {

/// log softmax in f64. The largest logit is subtracted first, so that large logits lose no digits.
class LogSoftmax {
public:
  explicit LogSoftmax(std::span<const float> logits) : logits(logits), best(*std::ranges::max_element(logits)) {
    double sum = 0;
    for (float logit : logits)
      sum += std::exp(logit - best);
    logSum = std::log(sum);
  }
  double operator[](size_t token) const { return logits[token] - best - logSum; }

private:
  std::span<const float> logits;
  double best, logSum;
};

} // namespace

double quantc::logProbability(std::span<const float> logits, int32_t token) {
  return LogSoftmax(logits)[token];
}

double quantc::klDivergence(std::span<const float> reference, std::span<const float> logits) {
  assert(reference.size() == logits.size());
  const LogSoftmax logP(reference), logQ(logits);
  double divergence = 0;
  for (size_t i = 0; i < logits.size(); ++i)
    // Where p is 0 the term's limit is 0, whatever q is.
    if (const double p = std::exp(logP[i]); p > 0)
      divergence += p * (logP[i] - logQ[i]);
  return divergence;
}

int32_t quantc::argmax(std::span<const float> logits) {
  return static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin());
}

namespace {

/// What the scored tokens add up to.
struct Sums {
  double negativeLogProbability = 0, klDivergence = 0;
  int64_t tokens = 0, agreeing = 0;

  double perplexity() const { return std::exp(negativeLogProbability / static_cast<double>(tokens)); }
};

Status checkRow(std::span<const float> row, std::string_view whose, int64_t position) {
  float best = -INFINITY;
  for (float logit : row) {
    if (std::isnan(logit) || logit == INFINITY)
      return fail("{} computes a logit of {} at position {}: no perplexity can be stated", whose, logit, position);
    best = std::max(best, logit);
  }
  if (best == -INFINITY)
    return fail("{} computes no finite logit at position {}", whose, position);
  return {};
}

/// Scores one chunk. `inputs` is the chunk as the model sees it, `targets` as the text has it: they differ by the BOS.
Status scoreChunk(Session &session, Session *reference, std::span<const int32_t> inputs,
                  std::span<const int32_t> targets, Sums &sums) {
  const size_t vocab = static_cast<size_t>(session.model().vocab());
  const size_t first = inputs.size() / 2;
  size_t pass = static_cast<size_t>(session.chunk());
  session.reset();
  if (reference) {
    reference->reset();
    pass = std::min(pass, static_cast<size_t>(reference->chunk()));
  }
  // The last token has no successor to predict.
  for (size_t begin = 0; begin + 1 < inputs.size(); begin += pass) {
    const size_t count = std::min(pass, inputs.size() - 1 - begin);
    const Rows rows = begin + count > first ? Rows::All : Rows::Last;
    QUANTC_ASSIGN(const auto logits, session.step(inputs.subspan(begin, count), rows));
    std::span<const float> referenceLogits;
    if (reference) {
      QUANTC_ASSIGN(referenceLogits, reference->step(inputs.subspan(begin, count), rows));
    }
    for (size_t position = std::max(begin, first); position < begin + count; ++position) {
      const auto row = logits.subspan((position - begin) * vocab, vocab);
      QUANTC_TRY(checkRow(row, "the model", static_cast<int64_t>(position)));
      sums.negativeLogProbability -= logProbability(row, targets[position + 1]);
      ++sums.tokens;
      if (!reference)
        continue;
      const auto referenceRow = referenceLogits.subspan((position - begin) * vocab, vocab);
      QUANTC_TRY(checkRow(referenceRow, "the reference", static_cast<int64_t>(position)));
      sums.klDivergence += klDivergence(referenceRow, row);
      sums.agreeing += argmax(row) == argmax(referenceRow);
    }
  }
  return {};
}

} // namespace

Result<Perplexity> quantc::perplexity(Session &session, std::span<const int32_t> tokens,
                                      const PerplexityOptions &options, Session *reference) {
  const int64_t chunk = options.chunk;
  const int64_t chunks = chunk > 0 ? static_cast<int64_t>(tokens.size()) / chunk : 0;
  if (chunk < 4)
    return fail("chunks of {} tokens are too small to score; ask for at least 4", chunk);
  if (chunks == 0)
    return fail("the text has {} tokens, less than one chunk of {}; give a longer text or smaller chunks",
                tokens.size(), chunk);
  for (const Session *used : {static_cast<const Session *>(&session), static_cast<const Session *>(reference)})
    if (used && used->context() < chunk)
      return fail("chunks of {} tokens do not fit the session's context of {}", chunk, used->context());
  if (reference && reference->model().vocab() != session.model().vocab())
    return fail("the reference has a vocabulary of {} tokens, the model one of {}: they cannot be compared",
                reference->model().vocab(), session.model().vocab());
  // Targets index logits; inputs are checked by the session.
  for (int32_t token : tokens)
    if (token < 0 || token >= session.model().vocab())
      return fail("token {} is outside the vocabulary of {} tokens", token, session.model().vocab());

  Sums sums;
  for (int64_t i = 0; i < chunks; ++i) {
    const auto targets = tokens.subspan(i * chunk, chunk);
    std::vector<int32_t> inputs(targets.begin(), targets.end());
    if (options.bos)
      inputs.front() = *options.bos;
    QUANTC_TRY(scoreChunk(session, reference, inputs, targets, sums));
    if (options.progress && !options.progress(i + 1, chunks, sums.perplexity()))
      break;
  }

  Perplexity result{.perplexity = sums.perplexity(), .tokens = sums.tokens};
  if (reference) {
    const double count = static_cast<double>(sums.tokens);
    result.klDivergence = sums.klDivergence / count;
    result.top1 = static_cast<double>(sums.agreeing) / count;
  }
  return result;
}
