#include "ToyArtifact.h"
#include <gmock/gmock.h>

using namespace quantc;
using nlohmann::ordered_json;
using Tokens = std::vector<int32_t>;

namespace {

/// `count` tokens of a fixed sequence that looks random.
Tokens someTokens(int64_t count) {
  Tokens tokens(count);
  uint32_t state = 1;
  for (int32_t &token : tokens)
    token = static_cast<int32_t>((state = state * 1664525 + 1013904223) >> 16) % toy::vocab;
  return tokens;
}

std::vector<float> floats(std::span<const int64_t> values) {
  return {values.begin(), values.end()};
}
std::vector<float> floats(std::span<const float> values) {
  return {values.begin(), values.end()};
}

/// The logits of a step, which must not fail.
std::vector<float> logits(const Result<std::span<const float>> &result) {
  EXPECT_TRUE(result) << result.error().message;
  return result ? floats(*result) : std::vector<float>();
}

std::vector<float> expected(std::span<const int32_t> tokens) {
  return floats(toy::expectedLogits(tokens));
}

std::string messageOf(const ordered_json &manifest, const SessionOptions &options = {.threads = 1}) {
  const auto model = Model::load(toy::write(manifest));
  if (!model)
    return model.error().message;
  const auto session = Session::create(*model, options);
  return session ? "" : session.error().message;
}

} // namespace

TEST(Session, StepsGiveTheLogitsOfTheLastToken) {
  const auto session = toy::session();
  const Tokens tokens = someTokens(7);
  EXPECT_EQ(logits(session->step(tokens)), expected(tokens));
  EXPECT_EQ(session->past(), 7);
}

TEST(Session, StepsGiveTheLogitsOfAllTokens) {
  const auto session = toy::session();
  const Tokens tokens = someTokens(5);
  const auto all = logits(session->step(tokens, Rows::All));
  ASSERT_EQ(all.size(), 5 * toy::vocab);
  for (int64_t i = 0; i < 5; ++i)
    EXPECT_EQ(floats(std::span(all).subspan(i * toy::vocab, toy::vocab)), expected(std::span(tokens).first(i + 1)));
}

TEST(Session, CacheLivesFromStepToStep) {
  const auto session = toy::session();
  const Tokens tokens = someTokens(40);
  for (size_t i = 0; i < tokens.size(); ++i)
    EXPECT_EQ(logits(session->step({&tokens[i], 1})), expected(std::span(tokens).first(i + 1)));
  EXPECT_EQ(Tokens(session->tokens().begin(), session->tokens().end()), tokens);
}

class SessionOf : public ::testing::TestWithParam<std::tuple<int64_t, unsigned>> {};

TEST_P(SessionOf, SameLogitsForEveryChunkAndThreadCount) {
  const auto [chunk, threads] = GetParam();
  const auto session = toy::session({.chunk = chunk, .threads = threads});
  const Tokens tokens = someTokens(toy::context);
  EXPECT_EQ(logits(session->prefill(tokens)), expected(tokens));
  EXPECT_EQ(session->past(), toy::context);
}

INSTANTIATE_TEST_SUITE_P(ChunksAndThreads, SessionOf,
                         ::testing::Combine(::testing::Values(1, 16, 100, 255, 256, 512), ::testing::Values(1, 2, 5)));

TEST(Session, RewindForgetsTheEnd) {
  const auto session = toy::session();
  Tokens tokens = someTokens(20);
  logits(session->prefill(tokens));
  ASSERT_TRUE(session->rewind(12));
  EXPECT_EQ(session->past(), 12);
  tokens.resize(12);
  tokens.push_back(3);
  EXPECT_EQ(logits(session->step({&tokens.back(), 1})), expected(tokens));
}

TEST(Session, RefusesToRewindAhead) {
  const auto session = toy::session();
  logits(session->prefill(someTokens(3)));
  EXPECT_EQ(session->rewind(4).error().message, "cannot rewind to position 4: the session holds 3 tokens");
  EXPECT_FALSE(session->rewind(-1));
}

TEST(Session, ResetStartsOver) {
  const auto session = toy::session();
  logits(session->prefill(someTokens(50)));
  session->reset();
  EXPECT_EQ(session->past(), 0);
  const Tokens tokens = {9, 8};
  EXPECT_EQ(logits(session->step(tokens)), expected(tokens));
}

// A persistent buffer that the first step reads before anything is written: `attend` without `append`.
TEST(Session, PersistentBuffersStartAndRestartAsZeros) {
  ordered_json manifest = toy::manifest();
  auto &launches = manifest["stages"][1]["launches"];
  const ordered_json append = launches[0];
  launches.erase(0);
  launches.push_back(append);
  const auto session = toy::session({.threads = 1}, manifest);
  const Tokens tokens = {5};
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(logits(session->step(tokens)), std::vector<float>(toy::vocab, 0.0f));
    session->reset();
  }
}

TEST(Session, SessionsOfOneModelAreIndependent) {
  const auto model = *Model::load(toy::write(toy::manifest()));
  const auto first = *Session::create(model, {.threads = 1}), second = *Session::create(model, {.threads = 2});
  const Tokens tokens = someTokens(10), others = {1, 2, 3};
  logits(first->step(tokens));
  EXPECT_EQ(logits(second->step(others)), expected(others));
  EXPECT_EQ(first->past(), 10);
}

TEST(Session, ContextIsRoundedUpAndBounded) {
  EXPECT_EQ(toy::session({.context = 17, .threads = 1})->context(), 32);
  EXPECT_EQ(toy::session({.context = 0, .threads = 1})->context(), toy::context);
  EXPECT_EQ(messageOf(toy::manifest(), {.context = 300}),
            "a context of 300 positions was asked for; the model was compiled for at most 256");
  EXPECT_EQ(messageOf(toy::manifest(), {.context = -1}), "the context is -1; give a number of positions > 0");
  EXPECT_EQ(messageOf(toy::manifest(), {.chunk = 0}), "the chunk is 0; give a number of tokens > 0");
}

TEST(Session, SaysWhatContextWouldFit) {
  // 64 bytes for each position; the other buffers take 16 · (4 + 64 + 64 + 128) bytes.
  EXPECT_EQ(messageOf(toy::manifest(), {.chunk = 16, .memoryLimit = 16 * 260 + 64 * 100}),
            "a context of 256 positions needs 20544 bytes of buffers, 10560 are available; 96 positions would fit");
  EXPECT_EQ(
      messageOf(toy::manifest(), {.chunk = 16, .memoryLimit = 1000}),
      "a context of 256 positions needs 20544 bytes of buffers, 1000 are available; ask for a smaller chunk than 16");
  EXPECT_EQ(messageOf(toy::manifest(), {.chunk = 16, .memoryLimit = 20544}), "");
}

TEST(Session, BufferSizesThatOverflowAreErrors) {
  ordered_json manifest = toy::manifest();
  manifest["buffers"][2]["per_context"] = int64_t(1) << 60;
  EXPECT_NE(messageOf(manifest), "");
}

TEST(Session, RefusesTokensOutsideTheVocabulary) {
  const auto session = toy::session();
  logits(session->step(Tokens{1}));
  EXPECT_EQ(session->step(Tokens{3, 32}).error().message, "token 32 is outside the vocabulary of 32 tokens");
  EXPECT_EQ(session->prefill(Tokens{-1}).error().message, "token -1 is outside the vocabulary of 32 tokens");
  EXPECT_EQ(session->past(), 1);
}

TEST(Session, RefusesTooManyTokensOrNone) {
  const auto session = toy::session({.context = 32, .chunk = 16, .threads = 1});
  EXPECT_EQ(session->step({}).error().message, "no tokens to compute; give at least one");
  EXPECT_EQ(session->prefill({}).error().message, "no tokens to compute; give at least one");
  EXPECT_EQ(session->step(someTokens(17)).error().message,
            "a step of 17 tokens; this session takes at most 16 in a step");
  logits(session->prefill(someTokens(30)));
  EXPECT_EQ(session->prefill(someTokens(3)).error().message,
            "3 tokens after 30 do not fit the context of 32; shorten the input or ask for a larger context");
  EXPECT_EQ(session->past(), 30);
}

TEST(Session, RefusesAbsurdTaskCountsAndStaysAsItWas) {
  for (const char *function : {"negative_tasks", "enormous_tasks"}) {
    ordered_json manifest = toy::manifest();
    manifest["kernels"][2]["entry"]["plain"][1] = toy::offsetOf(function);
    const auto session = toy::session({.threads = 1}, manifest);
    const auto result = session->step(Tokens{1});
    ASSERT_FALSE(result);
    EXPECT_THAT(result.error().message, ::testing::StartsWith("stage block.0: kernel attend asks for "));
    EXPECT_EQ(session->past(), 0);
  }
}

// A model compiled for the last row only gives one row and refuses more.
TEST(Session, RefusesRowsThatTheModelDoesNotCompute) {
  ordered_json manifest = toy::manifest();
  manifest["buffers"][4]["bytes"] = 4 * toy::vocab;
  manifest["buffers"][4]["per_token"] = 0;
  const auto session = toy::session({.threads = 1}, manifest);
  const Tokens tokens = {4, 5};
  EXPECT_EQ(session->step(tokens, Rows::All).error().message,
            "this model computes logits for 1 token of a step; 2 were asked for");
  EXPECT_EQ(logits(session->step(tokens)), expected(tokens));
}

TEST(Session, CountsItsBuffers) {
  // Each buffer begins on 64 bytes.
  EXPECT_EQ(toy::session({.context = 16, .chunk = 1, .threads = 1})->bufferBytes(), 64 + 64 + 16 * 64 + 64 + 128);
}

//===- Several sequences ----------------------------------------------------------------------------------------===//

namespace {

/// Sequence `s` of a test: other tokens than those of the others.
Tokens sequenceTokens(int64_t s, int64_t count) {
  Tokens tokens = someTokens(count + s);
  tokens.erase(tokens.begin(), tokens.begin() + s);
  return tokens;
}

class SequencesOf : public ::testing::TestWithParam<std::tuple<int64_t, unsigned>> {};

} // namespace

/// Steps of all sequences, of some, of one token and of several: each gets the logits that it has alone.
TEST_P(SequencesOf, HaveTheLogitsThatEachHasAlone) {
  const auto [sequences, threads] = GetParam();
  const auto session = toy::session({.threads = threads, .sequences = sequences});
  std::vector<Tokens> tokens;
  for (int64_t s = 0; s < sequences; ++s) {
    tokens.push_back(sequenceTokens(s, 60));
    if (s % 3)
      EXPECT_EQ(logits(session->prefill(std::span(tokens[s]).first(5 * s % 17 + 1), s)),
                expected(std::span(tokens[s]).first(5 * s % 17 + 1)));
  }
  for (int64_t round = 0; round < 12; ++round) {
    const Rows rows = round % 2 ? Rows::All : Rows::Last;
    std::vector<SequenceTokens> parts;
    for (int64_t s = sequences; s-- > 0;) // in any order
      if ((s + round) % 4)
        parts.push_back({s, std::span(tokens[s]).subspan(session->past(s), round % 3 ? 1 : 1 + s % 3)});
    if (parts.empty())
      continue;
    std::vector<float> want;
    for (const SequenceTokens &part : parts)
      for (int64_t i = rows == Rows::All ? 1 : std::ssize(part.tokens); i <= std::ssize(part.tokens); ++i) {
        const auto row = expected(std::span(tokens[part.sequence]).first(session->past(part.sequence) + i));
        want.insert(want.end(), row.begin(), row.end());
      }
    EXPECT_EQ(logits(session->stepSequences(parts, rows)), want) << "round " << round;
    // What is rewound is computed again.
    const SequenceTokens first = parts.front();
    ASSERT_TRUE(session->rewind(session->past(first.sequence) - 1, first.sequence));
  }
}

INSTANTIATE_TEST_SUITE_P(SequencesAndThreads, SequencesOf,
                         testing::Combine(testing::Values(1, 2, 5, 32), testing::Values(1u, 2u, 3u)));

TEST(Session, SequencesAreChecked) {
  const auto session = toy::session({.chunk = 4, .threads = 1, .sequences = 2});
  const Tokens tokens = someTokens(3);
  const auto message = [&](std::vector<SequenceTokens> parts) {
    const auto result = session->stepSequences(parts);
    return result ? "" : result.error().message;
  };
  EXPECT_EQ(message({}), "no tokens to compute; give at least one");
  EXPECT_EQ(message({{0, tokens}, {0, tokens}}), "sequence 0 stands twice in a step; give all its tokens at once");
  EXPECT_EQ(message({{0, tokens}, {2, tokens}}), "there is no sequence 2; this session has 2");
  EXPECT_EQ(message({{0, tokens}, {1, tokens}}), "a step of 6 tokens; this session takes at most 4 in a step");
  EXPECT_EQ(session->past(0) + session->past(1), 0);
  EXPECT_EQ(session->rewind(0, 2).error().message, "there is no sequence 2; this session has 2");
  EXPECT_EQ(messageOf(toy::manifest(), {.threads = 1, .sequences = 0}), "0 sequences; a session has at least one");
  ordered_json old = toy::manifest();
  for (ordered_json &stage : old["stages"])
    for (ordered_json &launch : stage["launches"])
      for (ordered_json &arg : launch["args"])
        if (arg.size() == 3)
          arg.erase(2);
  EXPECT_EQ(messageOf(old), "");
  EXPECT_EQ(messageOf(old, {.threads = 1, .sequences = 2}),
            "the artifact does not say how its buffers lie for several sequences: compile the model again");
  ordered_json damaged = toy::manifest();
  damaged["stages"][2]["launches"][0]["args"][0][2] = 4 * toy::hidden + 1;
  EXPECT_EQ(messageOf(damaged, {.threads = 1, .sequences = 2}), messageOf(old, {.threads = 1, .sequences = 2}));
}
