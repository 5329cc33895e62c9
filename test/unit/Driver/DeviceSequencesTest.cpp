//===- DeviceSequencesTest.cpp - several sequences on a GPU that the emulator plays -------------------------------===//

#include "DeviceModels.h"

using namespace quantc;
using namespace quantc::test;
using testing::HasSubstr;

namespace {

/// Sequence `s` of a test: the text of all tests, from its token 3s on.
std::vector<int32_t> textOf(int64_t s) {
  std::vector<int32_t> text = tokens;
  std::ranges::rotate(text, text.begin() + 3 * s);
  return text;
}

/// Sequences of a session beside what each has alone, by the reference.
class Together {
public:
  Together(std::shared_ptr<const Model> model, int64_t sequences, SessionOptions options = {.context = 96})
      : vocab(static_cast<size_t>(model->vocab())) {
    options.sequences = sequences;
    session = sessionOn(std::move(model), options);
    for (int64_t s = 0; s < sequences; s++)
      begin(s, textOf(s));
  }

  /// Another text for a sequence.
  void begin(int64_t sequence, std::vector<int32_t> text) {
    if (texts.size() == static_cast<size_t>(sequence)) {
      texts.emplace_back();
      expected.emplace_back();
    }
    EXPECT_TRUE(session->rewind(0, sequence));
    expected[sequence] = reference(Compiled::get().model, spec, text);
    texts[sequence] = std::move(text);
  }

  std::vector<SequenceTokens> next(const std::vector<std::pair<int64_t, size_t>> &counts) const {
    std::vector<SequenceTokens> parts;
    for (auto [sequence, count] : counts)
      parts.push_back({sequence, std::span(texts[sequence]).subspan(session->past(sequence), count)});
    return parts;
  }

  /// A step of so many tokens of some sequences gives each the logits that it has alone.
  void step(const std::vector<std::pair<int64_t, size_t>> &counts, Rows rows) {
    const std::vector<SequenceTokens> parts = next(counts);
    std::vector<double> wanted;
    for (const auto &[sequence, part] : parts) {
      const size_t end = (session->past(sequence) + part.size()) * vocab, count = rows == Rows::All ? part.size() : 1;
      wanted.insert(wanted.end(), expected[sequence].begin() + static_cast<long>(end - count * vocab),
                    expected[sequence].begin() + static_cast<long>(end));
    }
    const auto logits = session->stepSequences(parts, rows);
    ASSERT_TRUE(logits) << logits.error().message << StandIn::get().problem();
    ASSERT_EQ(logits->size(), wanted.size());
    for (size_t row = 0; row < wanted.size(); row += vocab)
      EXPECT_LT(error(std::span(wanted).subspan(row, vocab), logits->subspan(row, vocab)), bound)
          << "row " << row / vocab;
  }

  std::unique_ptr<Session> session;

private:
  size_t vocab;
  std::vector<std::vector<int32_t>> texts;
  std::vector<std::vector<double>> expected;
};

// Steps of all sequences and of some, in any order, of one token and of several; graphs among them.
TEST(DeviceSequences, HaveTheLogitsThatEachHasAlone) {
  const auto model = loadOnDevice(Compiled::get().gpu);
  ASSERT_TRUE(model) << model.error().message;
  Together together(*model, 3);
  together.step({{2, 5}, {0, 3}}, Rows::All);
  together.step({{1, 1}, {2, 1}, {0, 1}}, Rows::Last);
  const size_t before = StandIn::get().counts().graphLaunches;
  for (int round = 0; round < 3; round++)
    together.step({{1, 1}, {2, 1}, {0, 1}}, Rows::Last);
  EXPECT_EQ(StandIn::get().counts().graphLaunches - before, 3u);
  together.step({{0, 1}, {2, 1}, {1, 1}}, Rows::Last); // in another order
  together.step({{0, 1}, {1, 4}}, Rows::All);
  together.step({{2, 1}}, Rows::Last);
  // Whoever forgets begins with an empty cache; the others go on.
  together.begin(0, textOf(4));
  together.step({{0, 9}, {1, 1}, {2, 2}}, Rows::All);
  together.step({{1, 1}, {2, 1}, {0, 1}}, Rows::Last);
}

// Each sequence has memory of its own for its cache, and no more.
TEST(DeviceSequences, ShareAllButTheirCaches) {
  const auto model = loadOnDevice(Compiled::get().gpu);
  ASSERT_TRUE(model) << model.error().message;
  const auto bytes = [&](int64_t sequences) {
    return sessionOn(*model, {.context = 96, .sequences = sequences})->bufferBytes();
  };
  // 2 layers, keys and values, 2 heads of 64 features, f16.
  EXPECT_EQ(bytes(5) - bytes(1), 4 * 96u * 2 * 2 * 2 * 64 * sizeof(uint16_t));
  const std::string message =
      messageOf(Session::create(*model, {.context = 96, .memoryLimit = bytes(2), .sequences = 3}));
  EXPECT_THAT(message, HasSubstr("for each of 3 sequences"));
  EXPECT_TRUE(Session::create(*model, {.context = 96, .memoryLimit = bytes(3), .sequences = 3}));
}

// The largest logits of each: those that stand first in the logits of the same step.
TEST(DeviceSequences, HaveLargestLogitsOfTheirOwn) {
  const auto model = loadOnDevice(Compiled::get().gpu);
  ASSERT_TRUE(model) << model.error().message;
  Together whole(*model, 2), few(*model, 2);
  const auto parts = whole.next({{1, 2}, {0, 4}});
  const auto logits = whole.session->stepSequences(parts);
  const auto top = few.session->stepTop(few.next({{1, 2}, {0, 4}}));
  ASSERT_TRUE(logits && top);
  const auto vocab = static_cast<size_t>((*model)->vocab());
  ASSERT_EQ(top->tokens.size(), 2 * vocab);
  for (size_t i = 0; i < top->tokens.size(); i++) {
    EXPECT_EQ(top->logits[i], (*logits)[i / vocab * vocab + static_cast<size_t>(top->tokens[i])]);
    EXPECT_TRUE(i % vocab == 0 || top->logits[i - 1] >= top->logits[i]);
  }
}

// What a session chooses itself it chooses for its first sequence.
TEST(DeviceSequences, LeaveTheFirstOneItsChoice) {
  const auto model = loadOnDevice(Compiled::get().gpu);
  ASSERT_TRUE(model) << model.error().message;
  auto alone = sessionOn(*model), several = sessionOn(*model, {.context = 96, .sequences = 2});
  ASSERT_TRUE(several->prefill(textOf(1), 1));
  for (Session *session : {alone.get(), several.get()})
    ASSERT_TRUE(session->prefill(tokens));
  EXPECT_EQ(several->chooseTokens(5, 6).value(), alone->chooseTokens(5, 6).value());
  EXPECT_EQ(several->past(1), std::ssize(tokens));
}

} // namespace
