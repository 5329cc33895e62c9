//===- Sampler.h - from logits to a token -----------------------------------------------------------------------===//
//
// The chain of llama.cpp's default sampler, in its order: repetition penalty, top-k, top-p, min-p, temperature, draw.
// Probabilities are computed in f64 and the generator of random numbers is the C++ standard's mt19937_64, whose output
// is specified, so that a seed gives the same tokens on every machine. Ties go to the smaller token id.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <cstdint>
#include <deque>
#include <random>
#include <span>
#include <vector>

namespace quantc {

/// The defaults take the most likely token.
struct SamplingOptions {
  double temperature = 0; ///< >= 0; 0 takes the most likely token.
  int64_t topK = 0;       ///< Keep the k most likely tokens; 0 keeps all.
  double topP = 1;        ///< Keep the fewest most likely tokens whose probabilities sum to >= p; 1 keeps all.
  double minP = 0;        ///< Keep tokens with at least this share of the best one's probability; 0 keeps all.
  double repetitionPenalty =
      1; ///< > 0; divides positive logits of recent tokens, multiplies negative ones; 1 does nothing.
  int64_t penaltyWindow = 64; ///< How many of the last tokens count as recent.
  uint64_t seed = 0;
};

/// The largest logits of some rows: so many of each, the largest first, of equal ones the smaller token first. Where a
/// logit of a row is NaN, all of them are.
struct TopLogits {
  std::span<const int32_t> tokens;
  std::span<const float> logits;
  int64_t count; ///< of a row

  TopLogits row(size_t index) const {
    const auto size = static_cast<size_t>(count);
    return {tokens.subspan(index * size, size), logits.subspan(index * size, size), count};
  }
};

class Sampler {
public:
  /// Fails where an option is outside its range.
  static Result<Sampler> create(const SamplingOptions &options);

  /// Draws a token. Fails where a logit is NaN or +infinity, or none is finite.
  Result<int32_t> sample(std::span<const float> logits);

  /// How many of the largest logits a draw depends on; 0: on all.
  int64_t logitsNeeded() const;
  /// Draws from a row of at least as many the token that it would draw from all logits.
  Result<int32_t> sample(const TopLogits &row);

  /// Counts a token of the prompt or of the output as recent.
  void accept(int32_t token);

private:
  struct Candidate {
    int32_t token;
    double logit;
  };
  explicit Sampler(const SamplingOptions &options) : options(options), random(options.seed) {}
  bool consider(int32_t token, float logit);
  Result<int32_t> choose();
  void penalize();
  void keepTopK();
  void keepTopP();
  void keepMinP();
  int32_t draw();

  SamplingOptions options;
  std::mt19937_64 random;
  std::deque<int32_t> recent;
  std::vector<Candidate> candidates;
};

} // namespace quantc
