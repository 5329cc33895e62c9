//===- GgmlTest.cpp - the bytes that ggml writes ----------------------------------------------------------------===//

#include "TestWeights.h"
#include <fstream>

using namespace quantc;
using namespace quantc::test;

namespace {
/// A line of golden/ggml.txt.
struct Golden {
  std::string format, statistic;
  size_t bytes;
  uint64_t encodedHash, decodedHash;
  std::string firstBlock;
};
std::ostream &operator<<(std::ostream &out, const Golden &g) {
  return out << g.format << " " << g.statistic;
}

std::vector<Golden> goldens() {
  std::ifstream file(QUANTC_SOURCE_DIR "/test/unit/Encode/golden/ggml.txt");
  std::vector<Golden> list;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("#"))
      continue;
    std::istringstream words(line);
    Golden g;
    words >> g.format >> g.statistic >> g.bytes >> std::hex >> g.encodedHash >> g.decodedHash >> g.firstBlock;
    list.push_back(g);
  }
  return list;
}

class Ggml : public ::testing::TestWithParam<Golden> {};
INSTANTIATE_TEST_SUITE_P(Encode, Ggml, ::testing::ValuesIn(goldens()),
                         [](const auto &info) { return info.param.format + "_" + info.param.statistic; });
} // namespace

TEST(SharedWeights, AreTheReferenceInput) {
  EXPECT_EQ(hashOf(std::as_bytes(std::span(sharedWeights()))), 0xa5df0f7f928b6b88u);
  EXPECT_EQ(hashOf(std::as_bytes(std::span(sharedImportance()))), 0x9b5cd4dae487ecf2u);
}

TEST_P(Ggml, SameBytes) {
  const Golden &golden = GetParam();
  const auto format = formatOf(golden.format);
  ASSERT_TRUE(format);
  const std::vector<float> importance = golden.statistic == "imat" ? sharedImportance() : std::vector<float>();
  auto fields = encode(*format, sharedWeights(), 8, 2048, importance);
  ASSERT_TRUE(fields) << fields.error().message;
  const Bytes bytes = storeBlocks(*format, *fields, 8, 2048);
  EXPECT_EQ(bytes.size(), golden.bytes);
  EXPECT_EQ(toHex(std::span(bytes).first(golden.firstBlock.size() / 2)), golden.firstBlock);
  EXPECT_EQ(hashOf(bytes), golden.encodedHash);
  const std::vector<float> values = decoded(*format, *fields, 8, 2048);
  EXPECT_EQ(hashOf(std::as_bytes(std::span(values))), golden.decodedHash);
}
