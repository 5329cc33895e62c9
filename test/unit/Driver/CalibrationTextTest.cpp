//===- CalibrationTextTest.cpp - sequences out of texts ---------------------------------------------------------===//

#include "quantc/Calibrate/CalibrationText.h"
#include <fstream>
#include <gmock/gmock.h>
#include <unistd.h>

using namespace quantc;
namespace fs = std::filesystem;

namespace {

struct CalibrationTextTest : testing::Test {
  const TokenizerSource source = [] {
    return Tokenizer::create(*TokenizerModel::fromHuggingFace(fs::path(QUANTC_SOURCE_DIR) / "examples/demo-model"));
  };
  fs::path file = fs::path(testing::TempDir()) / ("calibration-text-" + std::to_string(::getpid()) + ".jsonl");
  ~CalibrationTextTest() override { fs::remove(file); }

  /// A line of ids for each number from 1 to `lines`: n times the id n.
  void writeLines(int lines) const {
    std::ofstream out(file);
    for (int n = 1; n <= lines; n++) {
      out << "{\"input_ids\": [" << n;
      for (int i = 1; i < n; i++)
        out << ", " << n;
      out << "]}\n\n";
    }
  }
  /// The first ids of the sequences.
  std::vector<int32_t> firsts(CalibrationText text) const {
    text.file = file;
    auto data = readSequences(text, source);
    EXPECT_TRUE(data) << data.error().message;
    std::vector<int32_t> result;
    for (const auto &sequence : data->sequences)
      result.push_back(sequence.front());
    return result;
  }
};

TEST_F(CalibrationTextTest, TakesSequencesBySeed) {
  writeLines(100);
  EXPECT_THAT(firsts({.sequences = 4}), testing::ElementsAre(1, 26, 51, 76));
  const std::vector<int32_t> seven = firsts({.sequences = 10, .seed = 7});
  EXPECT_EQ(seven.size(), 10u);
  EXPECT_TRUE(std::ranges::is_sorted(seven, std::ranges::less_equal())) << "each once, in the order of the file";
  EXPECT_EQ(seven, firsts({.sequences = 10, .seed = 7}));
  EXPECT_NE(seven, firsts({.sequences = 10, .seed = 8}));
  // All of them, whatever the seed.
  EXPECT_EQ(firsts({.sequences = 100, .seed = 7}), firsts({.sequences = 200}));
  // Each sequence is taken about as often as another.
  std::vector<int> times(101);
  for (uint64_t seed = 1; seed <= 500; seed++)
    for (int32_t id : firsts({.sequences = 10, .length = 1, .seed = seed}))
      ++times[id];
  EXPECT_THAT(std::vector(times.begin() + 1, times.end()),
              testing::Each(testing::AllOf(testing::Ge(20), testing::Le(85))));
}

TEST_F(CalibrationTextTest, SaysWhatItCovers) {
  writeLines(5);
  auto data = readSequences({.file = file, .sequences = 2, .length = 3}, source);
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_EQ(data->available, 1u + 2 + 3 + 3 + 3);
  EXPECT_EQ(data->tokens(), 1u + 3); // lines 1 and 3
  EXPECT_EQ(data->distinctTokens(), 2u);
}

TEST_F(CalibrationTextTest, OnlyTextNeedsATokenizer) {
  const TokenizerSource none = []() -> Result<std::unique_ptr<Tokenizer>> { return fail("there is no tokenizer"); };
  writeLines(3);
  EXPECT_TRUE(readSequences({.file = file}, none));
  std::ofstream(file, std::ios::app) << "{\"text\": \"Once\"}\n";
  auto data = readSequences({.file = file}, none);
  ASSERT_FALSE(data);
  EXPECT_THAT(data.error().message, testing::HasSubstr("there is no tokenizer"));
}

TEST_F(CalibrationTextTest, TheShippedTextIsEnough) {
  auto shipped = defaultCalibrationText();
  ASSERT_TRUE(shipped) << shipped.error().message;
  auto data = readSequences({.file = *shipped}, source);
  ASSERT_TRUE(data) << data.error().message;
  EXPECT_EQ(data->sequences.size(), 128u);
  EXPECT_EQ(data->tokens(), 128u * 512);
}

} // namespace
