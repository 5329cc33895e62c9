//===- StatisticsFileTest.cpp - statistics of calibration in a file ---------------------------------------------===//

#include "quantc/Methods/StatisticsFile.h"
#include "../Artifact/Samples.h"
#include "../Artifact/TestFiles.h"
#include <gmock/gmock.h>

using namespace quantc;
using testing::ElementsAre;
using testing::HasSubstr;

/// A file with `columns.a` of two features and `hessian.a`, the header's texts as given.
static std::string file(const std::vector<float> &numbers, std::string_view tokens = R"("7")",
                        std::string_view shape = "[3,2]", std::string_view dtype = "F32") {
  const std::string header =
      R"({"__metadata__":{"quantc.calibration_tokens":)" + std::string(tokens) + R"(},"columns.a":{"dtype":")" +
      std::string(dtype) + R"(","shape":)" + std::string(shape) +
      R"(,"data_offsets":[0,24]},"hessian.a":{"dtype":"F32","shape":[2,2],"data_offsets":[24,40]}})";
  return samples::safetensorsFile(header, {reinterpret_cast<const char *>(numbers.data()), numbers.size() * 4});
}

static const std::vector<float> sound = {1, 2, 3, 4, 5, 6, 3, -1, -1, 4};

TEST(StatisticsFile, Reads) {
  const MemoryFile memory(file(sound));
  const auto opened = StatisticsFile::open(memory.path());
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_TRUE((*opened)->hasHessians());
  const auto statistics = (*opened)->of("a", /*hessian=*/true);
  ASSERT_TRUE(statistics) << statistics.error().message;
  EXPECT_EQ((*statistics)->K, 2);
  EXPECT_EQ((*statistics)->tokens, 7u);
  EXPECT_THAT((*statistics)->meanAbs, ElementsAre(1, 2));
  EXPECT_THAT((*statistics)->meanSquare, ElementsAre(3, 4));
  EXPECT_THAT((*statistics)->maxAbs, ElementsAre(5, 6));
  EXPECT_THAT((*statistics)->hessian, ElementsAre(3, -1, -1, 4));
  EXPECT_TRUE((*(*opened)->of("a", /*hessian=*/false))->hessian.empty());
  EXPECT_THAT(messageOf((*opened)->of("b", false), memory.path()), HasSubstr("has no tensor 'columns.b'"));
}

/// What `of("a", true)`, or opening, says of a file.
static std::string problem(const std::string &bytes) {
  const MemoryFile memory(bytes);
  const auto opened = StatisticsFile::open(memory.path());
  return opened ? messageOf((*opened)->of("a", true), memory.path()) : messageOf(opened, memory.path());
}

TEST(StatisticsFile, RefusesWhatIsNotOne) {
  EXPECT_EQ(problem(file(sound)), "");
  EXPECT_THAT(problem(samples::safetensors()), HasSubstr("holds no statistics"));
  EXPECT_THAT(problem(file(sound, R"("7 or so")")), HasSubstr("holds no statistics"));
  EXPECT_THAT(problem(file(sound, R"("")")), HasSubstr("holds no statistics"));
  EXPECT_THAT(problem(file(sound, R"("7")", "[6]")), HasSubstr("'columns.a' is not F32 of 3 rows"));
  EXPECT_THAT(problem(samples::safetensorsFile(
                  R"({"__metadata__":{"quantc.calibration_tokens":"7"},"columns.a":{"dtype":"F32","shape":[3,0],)"
                  R"("data_offsets":[0,0]}})",
                  "")),
              HasSubstr("of 3 rows and some columns"));
  EXPECT_THAT(problem(file(sound, R"("7")", "[2,3]")), HasSubstr("'columns.a' is not F32 of 3 rows"));
  EXPECT_THAT(problem(file(sound, R"("7")", "[3,2]", "I32")), HasSubstr("'columns.a' is not F32"));
  for (size_t i : {1, 2, 5}) {
    std::vector<float> numbers = sound;
    numbers[i] = -1;
    EXPECT_THAT(problem(file(numbers)), HasSubstr("negative")) << i;
  }
  for (size_t i : {0, 9})
    for (float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
      std::vector<float> numbers = sound;
      numbers[i] = bad;
      EXPECT_THAT(problem(file(numbers)), HasSubstr("not finite")) << i;
    }
  // Three features, and products of two.
  const std::vector<float> wide = {1, 2, 3, 4, 5, 6, 7, 8, 9, 3, -1, -1, 4};
  std::string bytes = file(wide, R"("7")", "[3,3]");
  for (size_t at; (at = bytes.find("24")) != bytes.npos;)
    bytes.replace(at, 2, "36");
  bytes.replace(bytes.find(",40]"), 4, ",52]");
  EXPECT_THAT(problem(bytes), HasSubstr("'hessian.a' is not F32 of 3 rows and 3 columns"));
}
