#include "quantc/Runtime/Generator.h"
#include "ToyArtifact.h"
#include <algorithm>

using namespace quantc;
using nlohmann::ordered_json;
using Tokens = std::vector<int32_t>;

namespace {

const Tokens prompt = {3, 14, 15, 9};

/// What greedy decoding of the toy model must give, from its definition in whole numbers.
Tokens expectedGreedy(Tokens sequence, int64_t count) {
  Tokens drawn;
  for (int64_t i = 0; i < count; ++i) {
    const auto logits = toy::expectedLogits(sequence);
    drawn.push_back(static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin()));
    sequence.push_back(drawn.back());
  }
  return drawn;
}

/// The toy model without end tokens.
ordered_json endless() {
  ordered_json manifest = toy::manifest();
  manifest["model"]["eos"] = ordered_json::array();
  return manifest;
}

Generation generated(Session &session, std::span<const int32_t> tokens, const GenerateOptions &options,
                     const TokenCallback &callback = {}) {
  auto result = generate(session, tokens, options, callback);
  EXPECT_TRUE(result) << result.error().message;
  return result ? *result : Generation();
}

} // namespace

TEST(Generator, GreedyFollowsTheModel) {
  const auto session = toy::session({.chunk = 3, .threads = 1}, endless());
  const Generation out = generated(*session, prompt, {.maxTokens = 20});
  EXPECT_EQ(out.tokens, expectedGreedy(prompt, 20));
  EXPECT_EQ(out.reason, StopReason::MaxTokens);
  EXPECT_EQ(out.promptTokens, 4);
  EXPECT_EQ(out.prefillTokens, 4);
  EXPECT_EQ(out.decodeSteps, 19);
  EXPECT_GT(out.prefillTokensPerSecond(), 0);
  EXPECT_GT(out.decodeTokensPerSecond(), 0);
}

TEST(Generator, StopsAtTheModelsEndToken) {
  const Tokens all = expectedGreedy(prompt, 5);
  ordered_json manifest = toy::manifest();
  manifest["model"]["eos"] = ordered_json::array({all[2]});
  const auto first = std::ranges::find(all, all[2]) - all.begin();
  const auto session = toy::session({.threads = 1}, manifest);
  const Generation out = generated(*session, prompt, {.maxTokens = 5});
  EXPECT_EQ(out.tokens, Tokens(all.begin(), all.begin() + first));
  EXPECT_EQ(out.reason, StopReason::StopToken);
  session->reset();
  EXPECT_EQ(generated(*session, prompt, {.maxTokens = 5, .ignoreEnd = true}).tokens, all);
}

TEST(Generator, StopsAtTokensOfTheCaller) {
  const auto session = toy::session({.threads = 1}, endless());
  const Generation out = generated(*session, prompt, {.stopTokens = {expectedGreedy(prompt, 1)[0]}});
  EXPECT_TRUE(out.tokens.empty());
  EXPECT_EQ(out.reason, StopReason::StopToken);
}

TEST(Generator, StopsWhenTheContextIsFull) {
  const auto session = toy::session({.context = 16, .threads = 1}, endless());
  const Generation out = generated(*session, prompt, {.maxTokens = 0});
  EXPECT_EQ(out.reason, StopReason::ContextFull);
  EXPECT_EQ(out.tokens, expectedGreedy(prompt, 13)); // 4 + 12 positions; the last token need not be computed
}

TEST(Generator, CallbackSeesEachTokenAndCancels) {
  const auto session = toy::session({.threads = 1}, endless());
  Tokens seen;
  const Generation out = generated(*session, prompt, {}, [&](int32_t token) {
    seen.push_back(token);
    return seen.size() < 3;
  });
  EXPECT_EQ(seen, expectedGreedy(prompt, 3));
  EXPECT_EQ(out.tokens, seen);
  EXPECT_EQ(out.reason, StopReason::Cancelled);
}

TEST(Generator, KeepsWhatTheSessionHoldsInCommon) {
  const auto session = toy::session({.threads = 1}, endless());
  Tokens conversation = prompt;
  const Generation first = generated(*session, conversation, {.maxTokens = 6});
  conversation.insert(conversation.end(), first.tokens.begin(), first.tokens.end());
  conversation.insert(conversation.end(), {7, 7});
  const Generation second = generated(*session, conversation, {.maxTokens = 6});
  EXPECT_EQ(second.tokens, expectedGreedy(conversation, 6));
  EXPECT_EQ(second.prefillTokens, 3); // the last token drawn was never computed
  // The same prompt again computes its last token only.
  EXPECT_EQ(generated(*session, conversation, {.maxTokens = 6}).tokens, second.tokens);
  EXPECT_EQ(generated(*session, conversation, {.maxTokens = 6}).prefillTokens, 1);
  // Another beginning.
  const Tokens other = {1, 2};
  EXPECT_EQ(generated(*session, other, {.maxTokens = 6}).tokens, expectedGreedy(other, 6));
}

TEST(Generator, SeedDecidesTheTextWhateverTheThreads) {
  const GenerateOptions options{.maxTokens = 40, .sampling = {.temperature = 500, .topK = 20, .seed = 7}};
  const Tokens text = generated(*toy::session({.threads = 1}, endless()), prompt, options).tokens;
  EXPECT_EQ(generated(*toy::session({.chunk = 2, .threads = 3}, endless()), prompt, options).tokens, text);
  EXPECT_NE(text, expectedGreedy(prompt, 40));
}

TEST(Generator, RefusesWhatCannotBe) {
  const auto session = toy::session({.context = 16, .threads = 1});
  EXPECT_EQ(generate(*session, {}, {}).error().message, "the prompt has no tokens; give at least one");
  EXPECT_EQ(generate(*session, Tokens(17, 1), {}).error().message,
            "the prompt has 17 tokens, the context holds 16; shorten it or ask for a larger context");
  EXPECT_FALSE(generate(*session, prompt, {.maxTokens = -1}));
  EXPECT_FALSE(generate(*session, prompt, {.sampling = {.topP = 2}}));
  EXPECT_FALSE(generate(*session, Tokens{99}, {}));
}

TEST(Generator, RefusesNaN) {
  const auto session = toy::session({.threads = 1}, toy::manifestWith("spoil"));
  EXPECT_EQ(generate(*session, prompt, {}).error().message,
            "the logit of token 31 is nan: the model computes no usable output");
}

//===- Guessed tokens -------------------------------------------------------------------------------------------===//

namespace {
/// Guesses what it is told, right up to a token and wrong from there on.
class Guesses : public Drafter {
public:
  Guesses(Tokens right, int64_t goodOf) : right(std::move(right)), good(goodOf) {}
  Result<Tokens> propose(std::span<const int32_t> sequence, int64_t count) override {
    asked.push_back(count);
    const int64_t at = std::ssize(sequence) - std::ssize(prompt);
    Tokens guess;
    for (int64_t i = at; i < std::min(at + count, std::ssize(right)); i++)
      guess.push_back(i - at < good ? right[i] : (right[i] + 1) % toy::vocab);
    return guess;
  }
  std::vector<int64_t> asked;

private:
  Tokens right;
  int64_t good;
};
} // namespace

TEST(Drafter, TheOutputIsTheSameHoweverGoodTheGuesses) {
  const Tokens all = expectedGreedy(prompt, 40);
  for (int64_t good : {0, 1, 3, 100})
    for (int64_t most : {1, 2, 5}) {
      SCOPED_TRACE(testing::Message() << good << " of " << most);
      Guesses guesses(all, good);
      const auto session = toy::session({.chunk = 7, .threads = 1}, endless());
      const Generation out = generated(*session, prompt, {.maxTokens = 40, .drafter = &guesses, .draftTokens = most});
      EXPECT_EQ(out.tokens, all);
      EXPECT_EQ(out.decodeTokens, 39);
      EXPECT_EQ(out.decodeSteps + out.acceptedTokens, 39);
      EXPECT_LE(out.acceptedTokens, out.draftedTokens);
      if (good > most) {
        EXPECT_EQ(out.acceptedTokens, out.draftedTokens);
        EXPECT_EQ(out.decodeSteps, (39 + most) / (most + 1));
      }
      // The session holds what belongs to the output, and can go on.
      EXPECT_TRUE(std::ranges::equal(session->tokens(), [&] {
        Tokens sequence = prompt;
        sequence.insert(sequence.end(), all.begin(), all.end() - 1);
        return sequence;
      }()));
    }
}

TEST(Drafter, RandomOutputsAreTheSameToo) {
  const GenerateOptions sampling{.maxTokens = 30, .sampling = {.temperature = 8, .repetitionPenalty = 1.2, .seed = 5}};
  const auto session = toy::session({.threads = 1}, endless());
  const Tokens plain = generated(*session, prompt, sampling).tokens;
  GenerateOptions guessed = sampling;
  Guesses guesses(plain, 2);
  guessed.drafter = &guesses;
  const Generation out = generated(*session, prompt, guessed);
  EXPECT_EQ(out.tokens, plain);
  EXPECT_LT(out.decodeSteps, 29);
}

TEST(Drafter, EndsWithinGuesses) {
  const Tokens all = expectedGreedy(prompt, 20);
  Guesses guesses(all, 100);
  // At a stop token, whose computed predecessors stay.
  const auto stop = std::ranges::find(all, all[5]) - all.begin();
  auto session = toy::session({.threads = 1}, endless());
  Generation out = generated(*session, prompt, {.stopTokens = {all[5]}, .drafter = &guesses});
  EXPECT_EQ(out.tokens, Tokens(all.begin(), all.begin() + stop));
  EXPECT_EQ(out.reason, StopReason::StopToken);
  EXPECT_EQ(session->past(), std::ssize(prompt) + stop);
  // Where the context is full, and where the caller has enough.
  session = toy::session({.context = 16, .threads = 1}, endless());
  out = generated(*session, prompt, {.maxTokens = 0, .drafter = &guesses});
  EXPECT_EQ(out.tokens, Tokens(all.begin(), all.begin() + 13));
  EXPECT_EQ(out.reason, StopReason::ContextFull);
  session->reset();
  int64_t seen = 0;
  out = generated(*session, prompt, {.drafter = &guesses}, [&](int32_t) { return ++seen < 4; });
  EXPECT_EQ(out.tokens, Tokens(all.begin(), all.begin() + 4));
  EXPECT_EQ(session->past(), std::ssize(prompt) + 3);
  // No more is guessed than can be used.
  guesses.asked.clear();
  session->reset();
  out = generated(*session, prompt, {.maxTokens = 3, .drafter = &guesses});
  EXPECT_EQ(guesses.asked, std::vector<int64_t>({1}));
}

TEST(Drafter, PromptLookupRepeatsWhatFollowedBefore) {
  PromptLookup lookup(3, 2);
  auto propose = [&](Tokens sequence, int64_t count) { return lookup.propose(sequence, count).value(); };
  EXPECT_EQ(propose({1, 2, 3, 4, 9, 1, 2}, 2), Tokens({3, 4}));
  EXPECT_EQ(propose({1, 2, 3, 1, 2, 4, 1, 2}, 5), Tokens({4, 1, 2})) << "the last occurrence";
  EXPECT_EQ(propose({7, 1, 2, 3, 5, 1, 2, 4, 7, 1, 2}, 1), Tokens({3})) << "the longest ending";
  EXPECT_EQ(propose({5, 5, 5}, 4), Tokens({5})) << "an occurrence may overlap the ending";
  EXPECT_TRUE(propose({1, 2, 3, 4}, 4).empty());
  EXPECT_TRUE(propose({1}, 4).empty());
}

TEST(Drafter, DraftModelGuessesByAnotherModel) {
  const Tokens all = expectedGreedy(prompt, 30);
  const auto session = toy::session({.threads = 1}, endless());
  auto draft = DraftModel::create(toy::session({.context = 32, .threads = 1}, endless()), session->model());
  ASSERT_TRUE(draft) << draft.error().message;
  const Generation out = generated(*session, prompt, {.maxTokens = 30, .drafter = draft->get(), .draftTokens = 4});
  EXPECT_EQ(out.tokens, all);
  EXPECT_EQ(out.acceptedTokens, out.draftedTokens) << "the same model is always right";
  EXPECT_GE(out.acceptedTokens, 20) << "and guesses until its context is full";
}
