#include "quantc/Runtime/Evaluate.h"
#include "ToyArtifact.h"
#include <cmath>

using namespace quantc;
using nlohmann::ordered_json;
using Tokens = std::vector<int32_t>;

namespace {

Tokens text(int64_t count) {
  Tokens tokens(count);
  for (int64_t i = 0; i < count; ++i)
    tokens[i] = static_cast<int32_t>((i * i * 5 + i * 3) % toy::vocab);
  return tokens;
}

/// Logits of the toy model with its kernel `soften`.
std::vector<long double> softLogits(std::span<const int32_t> tokens) {
  std::vector<long double> logits;
  for (int64_t logit : toy::expectedLogits(tokens))
    logits.push_back(logit / 64.0L);
  return logits;
}

long double logSoftmax(const std::vector<long double> &logits, int32_t token) {
  long double sum = 0;
  for (long double logit : logits)
    sum += std::exp(logit - logits[token]);
  return -std::log(sum);
}

/// llama.cpp's convention, written down a second time.
double expectedPerplexity(Tokens tokens, int64_t chunk, std::optional<int32_t> bos) {
  long double sum = 0;
  int64_t count = 0;
  for (int64_t begin = 0; begin + chunk <= static_cast<int64_t>(tokens.size()); begin += chunk) {
    Tokens inputs(tokens.begin() + begin, tokens.begin() + begin + chunk);
    if (bos)
      inputs[0] = *bos;
    for (int64_t j = chunk / 2; j < chunk - 1; ++j, ++count)
      sum -= logSoftmax(softLogits(std::span(inputs).first(j + 1)), tokens[begin + j + 1]);
  }
  return static_cast<double>(std::exp(sum / count));
}

Perplexity evaluated(const Tokens &tokens, const PerplexityOptions &options, int64_t pass = 512,
                     Session *reference = nullptr) {
  const auto session = toy::session({.chunk = pass, .threads = 1}, toy::manifestWith("soften"));
  const auto result = perplexity(*session, tokens, options, reference);
  EXPECT_TRUE(result) << result.error().message;
  return result ? *result : Perplexity();
}

} // namespace

TEST(Evaluate, LogProbabilityIsInDoublePrecision) {
  const std::vector<float> logits = {1, 2, 3, -40};
  const double sum = std::exp(1.0) + std::exp(2.0) + std::exp(3.0) + std::exp(-40.0);
  EXPECT_NEAR(logProbability(logits, 0), 1 - std::log(sum), 1e-15);
  EXPECT_NEAR(logProbability(logits, 3), -40 - std::log(sum), 1e-13);
  // Large logits neither overflow nor vanish.
  EXPECT_NEAR(logProbability(std::vector<float>{1e30f, 1e30f}, 0), -std::log(2.0), 1e-15);
  EXPECT_EQ(logProbability(std::vector<float>{0, -INFINITY}, 0), 0);
}

TEST(Evaluate, KlDivergence) {
  const std::vector<float> p = {std::log(0.5f), std::log(0.25f), std::log(0.25f)};
  const std::vector<float> q = {std::log(0.25f), std::log(0.5f), std::log(0.25f)};
  EXPECT_NEAR(klDivergence(p, q), 0.25 * std::log(2.0), 1e-7);
  EXPECT_NEAR(klDivergence(p, p), 0, 1e-15);
  EXPECT_NEAR(klDivergence(std::vector<float>{0, -INFINITY}, std::vector<float>{0, 0}), std::log(2.0), 1e-15);
}

TEST(Evaluate, ArgmaxTakesTheFirstOfSeveral) {
  EXPECT_EQ(argmax(std::vector<float>{1, 5, 5, 0}), 1);
}

TEST(Evaluate, PerplexityFollowsTheConvention) {
  for (int64_t chunk : {4, 5, 8}) {
    const Tokens tokens = text(3 * chunk + 2);
    for (std::optional<int32_t> bos : {std::optional<int32_t>(), std::optional<int32_t>(1)}) {
      const Perplexity result = evaluated(tokens, {.chunk = chunk, .bos = bos});
      EXPECT_EQ(result.tokens, 3 * (chunk - 1 - chunk / 2));
      const double expected = expectedPerplexity(tokens, chunk, bos);
      EXPECT_NEAR(result.perplexity, expected, 1e-12 * expected);
      EXPECT_FALSE(result.klDivergence);
    }
  }
}

TEST(Evaluate, PassesDoNotMatter) {
  const Tokens tokens = text(20);
  const double whole = evaluated(tokens, {.chunk = 10}).perplexity;
  for (int64_t pass : {1, 3, 5, 6})
    EXPECT_EQ(evaluated(tokens, {.chunk = 10}, pass).perplexity, whole);
}

TEST(Evaluate, AgainstItselfAndAgainstAnother) {
  const Tokens tokens = text(24);
  const auto same = toy::session({.chunk = 3, .threads = 1}, toy::manifestWith("soften"));
  const Perplexity agreeing = evaluated(tokens, {.chunk = 8}, 512, same.get());
  EXPECT_NEAR(*agreeing.klDivergence, 0, 1e-12);
  EXPECT_EQ(*agreeing.top1, 1);

  // A reference that remembers nothing: all its logits are 0.
  ordered_json manifest = toy::manifest();
  manifest["stages"][1]["launches"].erase(0); // nothing is appended to the cache
  const auto uniform = toy::session({.threads = 1}, manifest);
  const Perplexity result = evaluated(tokens, {.chunk = 8}, 512, uniform.get());
  long double divergence = 0;
  int64_t agreements = 0, count = 0;
  for (int64_t begin = 0; begin < 24; begin += 8)
    for (int64_t j = 4; j < 7; ++j, ++count) {
      const auto logits = softLogits(std::span(tokens).subspan(begin, j + 1));
      for (int32_t v = 0; v < toy::vocab; ++v)
        divergence += (-std::log(32.0L) - logSoftmax(logits, v)) / 32;
      agreements += std::ranges::max_element(logits) == logits.begin();
    }
  EXPECT_NEAR(*result.klDivergence, static_cast<double>(divergence / count), 1e-12);
  EXPECT_EQ(*result.top1, static_cast<double>(agreements) / count);
}

TEST(Evaluate, ProgressReportsAndCancels) {
  std::vector<int64_t> seen;
  const Perplexity result =
      evaluated(text(40), {.chunk = 8, .progress = [&](int64_t done, int64_t total, double soFar) {
                             EXPECT_EQ(total, 5);
                             EXPECT_GT(soFar, 0);
                             seen.push_back(done);
                             return done < 2;
                           }});
  EXPECT_EQ(seen, (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(result.tokens, 2 * 3);
}

TEST(Evaluate, RefusesWhatCannotBe) {
  const auto session = toy::session({.context = 16, .threads = 1});
  const auto messageOf = [&](const Tokens &tokens, int64_t chunk) {
    return perplexity(*session, tokens, {.chunk = chunk}).error().message;
  };
  EXPECT_EQ(messageOf(text(9), 10),
            "the text has 9 tokens, less than one chunk of 10; give a longer text or smaller chunks");
  EXPECT_EQ(messageOf(text(9), 3), "chunks of 3 tokens are too small to score; ask for at least 4");
  EXPECT_EQ(messageOf(text(40), 17), "chunks of 17 tokens do not fit the session's context of 16");
  EXPECT_EQ(messageOf(Tokens(16, 32), 8), "token 32 is outside the vocabulary of 32 tokens");
}
