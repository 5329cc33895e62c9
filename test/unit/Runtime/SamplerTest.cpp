#include "quantc/Runtime/Sampler.h"
#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <map>
#include <numeric>
#include <random>

using namespace quantc;

namespace {

Sampler sampler(const SamplingOptions &options) {
  auto created = Sampler::create(options);
  EXPECT_TRUE(created) << created.error().message;
  return std::move(*created);
}

std::vector<float> logitsOf(const std::vector<double> &probabilities) {
  std::vector<float> logits;
  for (double p : probabilities)
    logits.push_back(static_cast<float>(std::log(p)));
  return logits;
}

std::vector<int64_t> draw(const SamplingOptions &options, const std::vector<float> &logits, int64_t count) {
  Sampler drawing = sampler(options);
  std::vector<int64_t> counts(logits.size());
  for (int64_t i = 0; i < count; ++i)
    ++counts[*drawing.sample(logits)];
  return counts;
}

/// Pearson's statistic of the counts against the expected shares (of any sum). Tokens of share 0 must not occur.
double chiSquare(const std::vector<int64_t> &counts, const std::vector<double> &shares) {
  const double total = std::accumulate(counts.begin(), counts.end(), 0.0);
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  double statistic = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const double expected = total * shares[i] / sum;
    if (expected == 0)
      EXPECT_EQ(counts[i], 0) << "token " << i;
    else
      statistic += (counts[i] - expected) * (counts[i] - expected) / expected;
  }
  return statistic;
}

const std::vector<double> shares = {0.05, 0.4, 0.02, 0.2, 0.08, 0.15, 0.1};
constexpr int64_t draws = 100000;
/// Above it a right sampler comes with probability < 1e-4 at 6 degrees of freedom (27.9), and less at fewer.
constexpr double critical = 27.9;

} // namespace

TEST(Sampler, GreedyTakesTheLargestLogitAndTheSmallerIdOfTwo) {
  EXPECT_EQ(*sampler({}).sample(std::vector<float>{-1, 3, 2, 3}), 1);
  EXPECT_EQ(*sampler({.topK = 2, .topP = 0.1, .minP = 0.9}).sample(std::vector<float>{-1, 3, 2, 3}), 1);
}

TEST(Sampler, DrawsTheSoftmax) {
  EXPECT_LT(chiSquare(draw({.temperature = 1, .seed = 1}, logitsOf(shares), draws), shares), critical);
}

TEST(Sampler, TemperatureSharpensAndFlattens) {
  for (double temperature : {0.5, 2.0}) {
    std::vector<double> powers;
    for (double p : shares)
      powers.push_back(std::pow(p, 1 / temperature));
    EXPECT_LT(chiSquare(draw({.temperature = temperature, .seed = 2}, logitsOf(shares), draws), powers), critical);
  }
}

TEST(Sampler, TopKKeepsTheMostLikely) {
  const std::vector<double> kept = {0, 0.4, 0, 0.2, 0, 0.15, 0};
  EXPECT_LT(chiSquare(draw({.temperature = 1, .topK = 3, .seed = 3}, logitsOf(shares), draws), kept), critical);
}

// 0.4 + 0.2 + 0.15 reaches 0.7; the token that passes the bound is kept.
TEST(Sampler, TopPKeepsTheFewestThatReachP) {
  const std::vector<double> kept = {0, 0.4, 0, 0.2, 0, 0.15, 0};
  EXPECT_LT(chiSquare(draw({.temperature = 1, .topP = 0.7, .seed = 4}, logitsOf(shares), draws), kept), critical);
}

TEST(Sampler, TopPKeepsAtLeastOne) {
  EXPECT_EQ(draw({.temperature = 1, .topP = 1e-9, .seed = 5}, logitsOf(shares), 100)[1], 100);
}

// A quarter of 0.4 is 0.1; 0.11 leaves a margin for the rounding of the logits to f32.
TEST(Sampler, MinPKeepsAShareOfTheBest) {
  const std::vector<double> kept = {0, 0.4, 0, 0.2, 0, 0.15, 0};
  EXPECT_LT(chiSquare(draw({.temperature = 1, .minP = 0.11 / 0.4, .seed = 6}, logitsOf(shares), draws), kept),
            critical);
}

// top-p sees the distribution after top-k (0.4 / 0.6 > 0.6 keeps one token; over all tokens it would keep two), and
// temperature comes last (before top-p, the flat distribution would keep more).
TEST(Sampler, AppliesTheChainInItsOrder) {
  EXPECT_EQ(draw({.temperature = 1, .topK = 2, .topP = 0.6, .seed = 7}, logitsOf(shares), 1000)[1], 1000);
  const std::vector<double> flat = {0, std::sqrt(0.4), 0, std::sqrt(0.2), 0, 0, 0};
  EXPECT_LT(chiSquare(draw({.temperature = 2, .topP = 0.55, .seed = 8}, logitsOf(shares), draws), flat), critical);
}

TEST(Sampler, PenalizesRecentTokensOnce) {
  Sampler penalizing = sampler({.repetitionPenalty = 2, .penaltyWindow = 2});
  const std::vector<float> logits = {4, 5, 3, -1};
  EXPECT_EQ(*penalizing.sample(logits), 1);
  penalizing.accept(1);
  penalizing.accept(1); // 5 -> 2.5, not 1.25
  EXPECT_EQ(*penalizing.sample(logits), 0);
  penalizing.accept(0); // 4 -> 2
  EXPECT_EQ(*penalizing.sample(logits), 2);
  penalizing.accept(2); // token 1 has left the window
  EXPECT_EQ(*penalizing.sample(logits), 1);
}

TEST(Sampler, PenaltyLowersNegativeLogits) {
  Sampler penalizing = sampler({.repetitionPenalty = 2});
  penalizing.accept(1);
  EXPECT_EQ(*penalizing.sample(std::vector<float>{-1.5f, -1}), 0);
}

TEST(Sampler, SeedDecidesTheTokens) {
  const auto logits = logitsOf(shares);
  const auto tokens = [&](uint64_t seed) {
    Sampler drawing = sampler({.temperature = 1, .seed = seed});
    std::vector<int32_t> drawn;
    for (int i = 0; i < 64; ++i)
      drawn.push_back(*drawing.sample(logits));
    return drawn;
  };
  EXPECT_EQ(tokens(42), tokens(42));
  EXPECT_NE(tokens(42), tokens(43));
}

// The first outputs of MT19937-64 with its default seed 5489, from the standard's recurrence: [rand.predef] gives the
// 10000th, 9981545732273789042. A uniform distribution over 8 tokens shows its top three bits.
TEST(Sampler, RandomNumbersAreTheStandardsGenerator) {
  Sampler drawing = sampler({.temperature = 1, .seed = 5489});
  const std::vector<float> uniform(8, 0.0f);
  int32_t token = -1;
  for (int i = 0; i < 10000; ++i)
    token = *drawing.sample(uniform);
  EXPECT_EQ(token, static_cast<int32_t>(9981545732273789042u >> 61));
}

TEST(Sampler, NeverDrawsATokenOfLogitMinusInfinity) {
  const float none = -std::numeric_limits<float>::infinity();
  EXPECT_EQ(*sampler({.temperature = 1}).sample(std::vector<float>{none, 0, none}), 1);
}

TEST(Sampler, RefusesUnusableLogits) {
  const float infinite = std::numeric_limits<float>::infinity();
  const auto messageOf = [](const std::vector<float> &logits) { return sampler({}).sample(logits).error().message; };
  EXPECT_EQ(messageOf({0, NAN}), "the logit of token 1 is nan: the model computes no usable output");
  EXPECT_EQ(messageOf({infinite, 0}), "the logit of token 0 is inf: the model computes no usable output");
  EXPECT_EQ(messageOf({-infinite, -infinite}), "no token has a finite logit: the model computes no usable output");
  EXPECT_EQ(messageOf({}), "no token has a finite logit: the model computes no usable output");
}

TEST(Sampler, RefusesOptionsOutsideTheirRange) {
  for (const SamplingOptions &wrong :
       {SamplingOptions{.temperature = -1}, SamplingOptions{.temperature = NAN}, SamplingOptions{.topK = -1},
        SamplingOptions{.topP = 0}, SamplingOptions{.topP = 1.5}, SamplingOptions{.minP = -0.1},
        SamplingOptions{.minP = NAN}, SamplingOptions{.repetitionPenalty = 0}, SamplingOptions{.penaltyWindow = -1}})
    EXPECT_FALSE(Sampler::create(wrong));
  EXPECT_EQ(Sampler::create({.topP = 1.5}).error().message, "top-p is 1.5; it must lie in (0, 1] (1 keeps all tokens)");
}

/// The largest of some logits, as a GPU gives them.
struct Largest {
  std::vector<int32_t> tokens;
  std::vector<float> numbers;
  TopLogits row() const { return {tokens, numbers, std::ssize(tokens)}; }
};
static Largest largest(const std::vector<float> &logits, size_t count) {
  Largest result;
  result.tokens.resize(logits.size());
  std::iota(result.tokens.begin(), result.tokens.end(), 0);
  std::ranges::sort(result.tokens, [&](int32_t a, int32_t b) {
    return logits[a] == logits[b] || std::isnan(logits[a]) ? a < b : logits[a] > logits[b];
  });
  result.tokens.resize(count);
  for (int32_t token : result.tokens)
    result.numbers.push_back(logits[token]);
  return result;
}

// The same tokens, whether all logits are there or as many as are needed; equal ones, and such that no token has.
TEST(Sampler, DrawsTheSameOfTheLargestLogits) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 2);
  for (const SamplingOptions &options :
       {SamplingOptions{.temperature = 0.7, .topK = 12, .seed = 1},
        SamplingOptions{.temperature = 1, .topK = 20, .topP = 0.8, .seed = 2},
        SamplingOptions{.temperature = 1.5, .topK = 3, .topP = 0.7, .minP = 0.2}, SamplingOptions{}})
    for (size_t vocab : {20, 500}) {
      Sampler all = sampler(options), few = sampler(options);
      const int64_t needed = few.logitsNeeded();
      EXPECT_EQ(needed, options.temperature == 0 ? 1 : options.topK);
      for (int round = 0; round < 200; round++) {
        std::vector<float> logits(vocab);
        for (float &logit : logits)
          logit = round % 2 ? normal(random) : std::round(normal(random));
        if (round % 5 == 0) // all but a few
          std::fill(logits.begin() + 10, logits.end(), -std::numeric_limits<float>::infinity());
        for (size_t count : {static_cast<size_t>(needed), size_t(20)}) {
          Sampler one = few;
          EXPECT_EQ(one.sample(largest(logits, count).row()).value(), Sampler(all).sample(logits).value());
        }
        EXPECT_EQ(few.sample(largest(logits, 20).row()).value(), all.sample(logits).value());
      }
    }
}

TEST(Sampler, SaysHowManyLogitsItNeeds) {
  EXPECT_EQ(sampler({}).logitsNeeded(), 1);
  EXPECT_EQ(sampler({.temperature = 1}).logitsNeeded(), 0);
  EXPECT_EQ(sampler({.temperature = 1, .topP = 0.5}).logitsNeeded(), 0);
  EXPECT_EQ(sampler({.temperature = 1, .topK = 7, .topP = 0.5}).logitsNeeded(), 7);
  EXPECT_EQ(sampler({.temperature = 1, .topK = 7, .repetitionPenalty = 1.1}).logitsNeeded(), 0);
  EXPECT_EQ(sampler({.repetitionPenalty = 1.1}).logitsNeeded(), 0);
}

TEST(Sampler, RefusesUnusableLargestLogits) {
  const auto message = [](std::vector<float> logits) {
    return sampler({.temperature = 1, .topK = 1}).sample(largest(logits, logits.size()).row()).error().message;
  };
  constexpr float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(message({1, infinity}), "a logit is inf: the model computes no usable output");
  EXPECT_EQ(message({nan, nan}), "a logit is nan: the model computes no usable output");
  EXPECT_EQ(message({-infinity, -infinity}), "no token has a finite logit: the model computes no usable output");
}
