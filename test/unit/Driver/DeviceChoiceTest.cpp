//===- DeviceChoiceTest.cpp - tokens that a GPU chooses, which the emulator plays ---------------------------------===//

#include "DeviceModels.h"
#include "quantc/Runtime/Generator.h"
#include "quantc/Runtime/Speed.h"
#include "quantc/Support/Files.h"
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>

using namespace quantc;
using namespace quantc::test;
using testing::HasSubstr;
namespace fs = std::filesystem;

namespace {

/// The tokens that are chosen after a text, asked for so many at a time; the session holds all but the last.
std::vector<int32_t> chosenAfter(Session &session, std::span<const int32_t> text, size_t count, int64_t most) {
  EXPECT_TRUE(session.prefill(text.first(text.size() - 1)));
  std::vector<int32_t> all{text.back()};
  while (all.size() <= count) {
    const auto some = session.chooseTokens(all.back(), most);
    EXPECT_TRUE(some) << some.error().message << StandIn::get().problem();
    if (!some)
      break;
    EXPECT_LE(std::ssize(*some), most);
    all.insert(all.end(), some->begin(), some->end());
    EXPECT_EQ(session.past(), std::ssize(text) + std::ssize(all) - 2);
    EXPECT_EQ(session.tokens().back(), all[all.size() - 2]);
  }
  return {all.begin() + 1, all.begin() + 1 + static_cast<long>(count)};
}

// Where the most likely token is wanted, only that comes back, and steps follow each other without the host.
TEST(DeviceChoice, IsTheTokenOfTheProcessor) {
  const auto onCPU = Model::load(Compiled::get().cpu), onGPU = loadOnDevice(Compiled::get().gpu);
  ASSERT_TRUE(onCPU && onGPU);
  const auto expected = chosenAfter(*sessionOn(*onCPU), tokens, 13, 100);
  for (int64_t most : {1, 3, 100})
    EXPECT_EQ(chosenAfter(*sessionOn(*onGPU), tokens, 13, most), expected) << most << " at a time";

  // The same as the host finds in the logits.
  auto session = sessionOn(*onGPU);
  std::vector<float> logits = logitsOf(*session, tokens, Rows::Last);
  for (int32_t token : expected) {
    EXPECT_EQ(token, std::ranges::max_element(logits) - logits.begin());
    logits = logitsOf(*session, {&token, 1}, Rows::Last);
  }

  // At the end of the context no more than fit.
  session = sessionOn(*onGPU, {.context = 32});
  ASSERT_TRUE(session->prefill(std::vector<int32_t>(30, 5)));
  const auto last = session->chooseTokens(5, 100);
  ASSERT_TRUE(last) << last.error().message;
  EXPECT_EQ(last->size(), 2u);
  EXPECT_EQ(session->past(), 32);
  EXPECT_THAT(messageOf(session->chooseTokens(5, 100)), HasSubstr("do not fit the context of 32"));
  EXPECT_THAT(messageOf(sessionOn(*onGPU)->chooseTokens(51, 1)), HasSubstr("outside the vocabulary"));
  EXPECT_THAT(messageOf(sessionOn(*onGPU)->chooseTokens(5, 0)), HasSubstr("ask for at least one"));
}

TEST(DeviceChoice, GoesOnWithoutTheHost) {
  const auto model = loadOnDevice(Compiled::get().gpu);
  ASSERT_TRUE(model);
  auto session = sessionOn(*model);
  const auto some = session->chooseTokens(7, 4);
  ASSERT_TRUE(some) << some.error().message;
  EXPECT_EQ(some->size(), 4u);
  // A token and its logit of each step; the first step was launched kernel by kernel, all others are one graph.
  EXPECT_EQ(StandIn::get().counts().copiesToHost, 8u);
  EXPECT_EQ(StandIn::get().counts().graphs, 1u);
  EXPECT_EQ(StandIn::get().counts().graphLaunches, 3u);
  EXPECT_LT(StandIn::get().counts().pinnedBytes, sizeof(int64_t) + 512 * sizeof(int32_t) + 51 * sizeof(float));
}

// An output may end at any of the tokens that were computed ahead; the next one goes on from there.
TEST(DeviceChoice, ForgetsWhatLiesBehindTheEnd) {
  const auto model = loadOnDevice(Compiled::get().gpu);
  ASSERT_TRUE(model);
  const auto all = generate(*sessionOn(*model), tokens, {.maxTokens = 9, .ignoreEnd = true});
  ASSERT_TRUE(all) << all.error().message;
  const std::vector<int32_t> &text = all->tokens;
  for (size_t length = 1; length < text.size(); length++) {
    if (std::ranges::count(std::span(text).first(length), text[length]))
      continue; // would end the output earlier
    auto session = sessionOn(*model);
    const auto part = generate(*session, tokens, {.maxTokens = 9, .stopTokens = {text[length]}, .ignoreEnd = true});
    ASSERT_TRUE(part) << part.error().message;
    EXPECT_EQ(part->reason, StopReason::StopToken);
    EXPECT_EQ(part->tokens, std::vector(text.begin(), text.begin() + static_cast<long>(length)));
    EXPECT_EQ(session->past(), std::ssize(tokens) + static_cast<int64_t>(length));
    std::vector<int32_t> longer = tokens;
    longer.insert(longer.end(), text.begin(), text.begin() + static_cast<long>(length));
    const auto rest = generate(*session, longer, {.maxTokens = 9 - static_cast<int64_t>(length), .ignoreEnd = true});
    ASSERT_TRUE(rest) << rest.error().message;
    EXPECT_EQ(rest->tokens, std::vector(text.begin() + static_cast<long>(length), text.end()));
  }
}

//===- The largest logits ---------------------------------------------------------------------------------------===//

/// A model of more tokens than a GPU gives the logits of, no multiple of anything.
Result<std::shared_ptr<const Model>> largerVocabulary() {
  static const MadeModel made("vocabulary", "--arch llama --ffn 128 --vocab 203", spec, {"sm_80"});
  return loadOnDevice(made);
}
constexpr int64_t vocab = 203, mostLogits = 64;

// Of each row, as the standard library sorts the logits of the same step.
TEST(DeviceTop, IsWhatStandsFirstInSortedLogits) {
  const auto model = largerVocabulary();
  ASSERT_TRUE(model) << model.error().message;
  auto whole = sessionOn(*model), few = sessionOn(*model);
  EXPECT_EQ(few->topLogits(), mostLogits);
  for (Rows rows : {Rows::All, Rows::Last})
    for (int round = 0; round < 2; round++) {
      const std::span<const int32_t> text = std::span(tokens).first(3);
      const std::vector<float> logits = logitsOf(*whole, text, rows);
      const SequenceTokens part{0, text};
      const auto top = few->stepTop(std::span(&part, 1), rows);
      ASSERT_TRUE(top) << top.error().message << StandIn::get().problem();
      ASSERT_EQ(top->count, mostLogits);
      ASSERT_EQ(top->tokens.size() * vocab, logits.size() * mostLogits);
      for (size_t row = 0; row < logits.size() / vocab; row++) {
        const std::span<const float> all = std::span(logits).subspan(row * vocab, vocab);
        std::vector<int32_t> order(vocab);
        std::iota(order.begin(), order.end(), 0);
        std::ranges::sort(order, [&](int32_t a, int32_t b) { return all[a] != all[b] ? all[a] > all[b] : a < b; });
        order.resize(mostLogits);
        EXPECT_THAT(top->row(row).tokens, testing::ElementsAreArray(order));
        for (size_t i = 0; i < order.size(); i++)
          EXPECT_EQ(top->row(row).logits[i], all[order[i]]);
      }
      EXPECT_EQ(few->past(), whole->past());
    }
}

// A text drawn from them is that which is drawn from all logits, with the same seed; these stay where they are.
TEST(DeviceTop, AreAllThatTheSamplerNeeds) {
  const auto model = largerVocabulary();
  ASSERT_TRUE(model) << model.error().message;
  for (const SamplingOptions &sampling : {SamplingOptions{.temperature = 0.8, .topK = 40, .seed = 7},
                                          SamplingOptions{.temperature = 2, .topK = 64, .topP = 0.9, .seed = 3},
                                          SamplingOptions{.temperature = 1, .topK = 9, .minP = 0.05, .seed = 1},
                                          SamplingOptions{.temperature = 1, .topK = 65, .seed = 5}, // more
                                          SamplingOptions{.temperature = 1, .topK = 9, .repetitionPenalty = 1.3}}) {
    auto session = sessionOn(*model), host = sessionOn(*model);
    const size_t before = StandIn::get().counts().bytesToHost;
    const auto made = generate(*session, tokens, {.maxTokens = 8, .sampling = sampling, .ignoreEnd = true});
    ASSERT_TRUE(made) << made.error().message;
    const bool isFew = sampling.topK <= mostLogits && sampling.repetitionPenalty == 1;
    const size_t ofStep = isFew ? mostLogits * (sizeof(int32_t) + sizeof(float)) : vocab * sizeof(float);
    EXPECT_EQ(StandIn::get().counts().bytesToHost - before, vocab * sizeof(float) + 7 * ofStep);

    auto sampler = Sampler::create(sampling);
    for (int32_t token : tokens)
      sampler->accept(token);
    std::vector<float> logits = logitsOf(*host, tokens, Rows::Last);
    for (int32_t token : made->tokens) {
      EXPECT_EQ(sampler->sample(logits).value(), token) << "seed " << sampling.seed;
      sampler->accept(token);
      logits = logitsOf(*host, {&token, 1}, Rows::Last);
    }
  }
}

TEST(DeviceTop, ServesGuessedTokensToo) {
  const auto model = largerVocabulary();
  ASSERT_TRUE(model) << model.error().message;
  PromptLookup lookup;
  for (const SamplingOptions &sampling : {SamplingOptions{}, SamplingOptions{.temperature = 0.1, .topK = 5}}) {
    const auto plain = generate(*sessionOn(*model), tokens, {.maxTokens = 12, .sampling = sampling, .ignoreEnd = true});
    const auto guessed =
        generate(*sessionOn(*model), tokens,
                 {.maxTokens = 12, .sampling = sampling, .ignoreEnd = true, .drafter = &lookup, .draftTokens = 3});
    ASSERT_TRUE(plain && guessed);
    EXPECT_EQ(plain->tokens, guessed->tokens);
  }
}

TEST(DeviceTop, IsNotThereOnAProcessor) {
  const auto model = Model::load(Compiled::get().cpu);
  ASSERT_TRUE(model);
  auto session = sessionOn(*model);
  EXPECT_EQ(session->topLogits(), 0);
  const SequenceTokens part{0, tokens};
  EXPECT_THAT(messageOf(session->stepTop(std::span(&part, 1))), HasSubstr("left to the host here"));
  EXPECT_EQ(session->past(), 0);
}

// Of decoded tokens only each one and its logit come back.
TEST(DeviceTop, SpeedIsThatWithoutCopiesOfLogits) {
  const auto model = largerVocabulary();
  ASSERT_TRUE(model) << model.error().message;
  auto session = sessionOn(*model);
  const size_t before = StandIn::get().counts().bytesToHost;
  const auto speed = measureSpeed(*session, 5, 6, 2);
  ASSERT_TRUE(speed) << speed.error().message;
  EXPECT_EQ(speed->decode.size(), 2u);
  EXPECT_EQ(session->past(), 11);
  EXPECT_EQ(StandIn::get().counts().bytesToHost - before,
            2 * (vocab * sizeof(float) + 6 * (sizeof(int32_t) + sizeof(float))));
}

//===- Logits that are no numbers -------------------------------------------------------------------------------===//

/// A copy of the tiny model whose last norm multiplies by 3.4e38, beyond what activations can be.
fs::path withoutNumbers() {
  const fs::path copy = folder() / "nan";
  fs::create_directories(copy);
  fs::copy(Compiled::get().model, copy, fs::copy_options::overwrite_existing | fs::copy_options::recursive);
  const fs::path file = copy / "model.safetensors";
  std::string bytes = *readText(file);
  uint64_t size;
  std::memcpy(&size, bytes.data(), sizeof(size));
  const auto header = nlohmann::json::parse(bytes.substr(sizeof(size), size));
  const auto &offsets = header["model.norm.weight"]["data_offsets"];
  std::fill(bytes.begin() + static_cast<long>(sizeof(size) + size + offsets[0].get<uint64_t>()),
            bytes.begin() + static_cast<long>(sizeof(size) + size + offsets[1].get<uint64_t>()), '\x7f');
  std::ofstream(file, std::ios::binary) << bytes;
  return copy;
}

// The host says then what it says of the logits of a processor.
TEST(DeviceChoice, SaysThatLogitsAreNoNumbers) {
  CompileOptions options = {.model = withoutNumbers(), .output = folder() / "nan.qm", .format = spec};
  options.targets = {"sm_80"};
  options.dumpPhases = folder() / "nan-phases";
  const auto made = compileModel(options);
  ASSERT_TRUE(made) << made.error().message;
  const auto model = loadOnDevice(MadeModel(options));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_THAT(messageOf(sessionOn(*model)->chooseTokens(5, 4)), HasSubstr("nan: the model computes no usable output"));

  auto session = sessionOn(*model);
  const int32_t token = 5;
  const SequenceTokens part{0, {&token, 1}};
  const auto top = session->stepTop(std::span(&part, 1));
  ASSERT_TRUE(top) << top.error().message;
  auto sampler = Sampler::create({.temperature = 1, .topK = 3});
  EXPECT_THAT(messageOf(sampler->sample(top->row(0))), HasSubstr("nan: the model computes no usable output"));
}

} // namespace
