//===- Sampler.cpp - from logits to a token ---------------------------------------------------------------------===//

#include "quantc/Runtime/Sampler.h"
#include <algorithm>
#include <cmath>
#include <limits>

using namespace quantc;

Result<Sampler> Sampler::create(const SamplingOptions &options) {
  // Written so that a NaN fails.
  if (!(options.temperature >= 0 && std::isfinite(options.temperature)))
    return fail("temperature is {}; it must be a number >= 0", options.temperature);
  if (options.topK < 0)
    return fail("top-k is {}; it must be >= 0 (0 keeps all tokens)", options.topK);
  if (!(options.topP > 0 && options.topP <= 1))
    return fail("top-p is {}; it must lie in (0, 1] (1 keeps all tokens)", options.topP);
  if (!(options.minP >= 0 && options.minP <= 1))
    return fail("min-p is {}; it must lie in [0, 1] (0 keeps all tokens)", options.minP);
  if (!(options.repetitionPenalty > 0 && std::isfinite(options.repetitionPenalty)))
    return fail("repetition penalty is {}; it must be a number > 0 (1 does nothing)", options.repetitionPenalty);
  if (options.penaltyWindow < 0)
    return fail("penalty window is {}; it must be >= 0", options.penaltyWindow);
  return Sampler(options);
}

void Sampler::accept(int32_t token) {
  recent.push_back(token);
  if (static_cast<int64_t>(recent.size()) > options.penaltyWindow)
    recent.pop_front();
}

/// Better first: larger logit, then smaller id.
static constexpr auto better = [](const auto &a, const auto &b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
};

/// False where a logit is nothing that a token can have.
bool Sampler::consider(int32_t token, float logit) {
  if (std::isnan(logit) || logit == std::numeric_limits<float>::infinity())
    return false;
  // A token of logit -infinity has no probability.
  if (std::isfinite(logit))
    candidates.push_back({token, logit});
  return true;
}

Result<int32_t> Sampler::sample(std::span<const float> logits) {
  candidates.clear();
  for (size_t i = 0; i < logits.size(); ++i)
    if (!consider(static_cast<int32_t>(i), logits[i]))
      return fail("the logit of token {} is {}: the model computes no usable output", i, logits[i]);
  penalize();
  return choose();
}

int64_t Sampler::logitsNeeded() const {
  if (options.repetitionPenalty != 1)
    return 0;
  return options.temperature == 0 ? 1 : options.topK;
}

Result<int32_t> Sampler::sample(const TopLogits &row) {
  candidates.clear();
  for (size_t i = 0; i < row.tokens.size(); ++i)
    if (!consider(row.tokens[i], row.logits[i]))
      return fail("a logit is {}: the model computes no usable output", row.logits[i]);
  return choose();
}

Result<int32_t> Sampler::choose() {
  if (candidates.empty())
    return fail("no token has a finite logit: the model computes no usable output");
  if (options.temperature == 0)
    return std::ranges::min_element(candidates, better)->token;
  keepTopK();
  keepTopP();
  keepMinP();
  return draw();
}

void Sampler::penalize() {
  if (options.repetitionPenalty == 1)
    return;
  std::vector<int32_t> penalized(recent.begin(), recent.end());
  std::ranges::sort(penalized);
  // Candidates ascend by token here.
  for (Candidate &candidate : candidates)
    if (std::ranges::binary_search(penalized, candidate.token))
      candidate.logit *= candidate.logit > 0 ? 1 / options.repetitionPenalty : options.repetitionPenalty;
}

void Sampler::keepTopK() {
  if (options.topK == 0)
    return;
  const size_t kept = std::min(static_cast<size_t>(options.topK), candidates.size());
  // Few of many: nearly all are only compared with the worst of those kept, which are sorted: sums over them do not
  // depend on how many more there were.
  constexpr size_t few = 256;
  if (kept <= few)
    std::ranges::partial_sort(candidates, candidates.begin() + kept, better);
  else
    std::ranges::nth_element(candidates, candidates.begin() + kept, better);
  candidates.resize(kept);
}

void Sampler::keepTopP() {
  if (options.topP == 1)
    return;
  const double best = std::ranges::min_element(candidates, better)->logit;
  double sum = 0;
  for (const Candidate &candidate : candidates)
    sum += std::exp(candidate.logit - best);
  // A heap gives the best one after the other: seldom are many wanted.
  const auto worse = [](const Candidate &a, const Candidate &b) { return better(b, a); };
  std::ranges::make_heap(candidates, worse);
  double cumulative = 0;
  auto kept = candidates.end();
  while (kept != candidates.begin() && cumulative < options.topP * sum) {
    std::ranges::pop_heap(candidates.begin(), kept, worse);
    cumulative += std::exp((--kept)->logit - best);
  }
  candidates.erase(candidates.begin(), kept);
}

void Sampler::keepMinP() {
  if (options.minP == 0)
    return;
  const double best = std::ranges::min_element(candidates, better)->logit;
  std::erase_if(candidates,
                [&](const Candidate &candidate) { return std::exp(candidate.logit - best) < options.minP; });
}

int32_t Sampler::draw() {
  // A fixed order, so that the sums do not depend on how the candidates were selected.
  std::ranges::sort(candidates, std::less(), &Candidate::token);
  const double best = std::ranges::min_element(candidates, better)->logit;
  const auto weight = [&](const Candidate &candidate) {
    return std::exp((candidate.logit - best) / options.temperature);
  };
  double sum = 0;
  for (const Candidate &candidate : candidates)
    sum += weight(candidate);
  // 53 random bits: uniform in [0, 1).
  double left = static_cast<double>(random() >> 11) * 0x1p-53 * sum;
  for (const Candidate &candidate : candidates)
    if ((left -= weight(candidate)) < 0)
      return candidate.token;
  return std::ranges::min_element(candidates, better)->token; // only where rounding used up the last weight
}
