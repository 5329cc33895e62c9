//===- GgmlVariantsTest.cpp - the bytes that ggml writes for awkward weights ------------------------------------===//
//
// The golden file is written by test/oracle/ggml_encode.py, which also defines the variants.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "TestWeights.h"
#include <cmath>
#include <fstream>
#include <set>

using namespace quantc;
using namespace quantc::test;

namespace {
struct Variant {
  std::vector<float> x, importance;
};

Variant variantNamed(const std::string &name) {
  Variant v{sharedWeights(), sharedImportance()};
  auto each = [&](auto change) {
    for (size_t i = 0; i < v.x.size(); i++)
      v.x[i] = change(v.x[i], i);
  };
  if (name == "positive")
    each([](float x, size_t) { return std::fabs(x); });
  else if (name == "negative")
    each([](float x, size_t) { return -std::fabs(x); });
  else if (name.starts_with("scaled_"))
    each([factor = std::stof(name.substr(7))](float x, size_t) { return x * factor; });
  else if (name == "coarse")
    each([](float x, size_t) { return std::nearbyint(x * 64) / 64; });
  else if (name == "sparse")
    each([](float x, size_t i) { return i % 7 ? 0 : x; });
  else if (name == "blocks")
    each([](float x, size_t i) { return i / 32 % 4 == 1 ? 0 : i / 32 % 4 == 3 ? 0.05f : x; });
  else if (name == "negative_blocks")
    each([](float x, size_t i) { return i / 32 % 3 == 1 ? -0.05f : x; });
  else if (name == "ramp")
    each([](float, size_t i) { return static_cast<float>(int(i % 509) - 254); });
  else if (name == "outliers")
    each([](float x, size_t i) { return i % 97 ? x : x * 1000; });
  else if (name == "zero_super_blocks")
    each([](float x, size_t i) { return i / 256 % 3 == 1 ? 0 : x; });
  for (size_t k = 0; k < v.importance.size(); k++)
    if ((name == "importance_zeros" && k % 5 == 2) || (name == "importance_zero_blocks" && k / 32 % 3 == 1))
      v.importance[k] = 0;
  return v;
}

struct Golden {
  std::string variant, format, statistic;
  uint64_t input, hash;
};

std::vector<Golden> goldens() {
  std::ifstream file(QUANTC_SOURCE_DIR "/test/unit/Encode/golden/ggml_variants.txt");
  std::vector<Golden> list;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("#"))
      continue;
    std::istringstream words(line);
    Golden g;
    words >> g.variant >> std::hex >> g.input >> g.format >> g.statistic >> g.hash;
    list.push_back(g);
  }
  return list;
}

std::set<std::string> formats() {
  std::set<std::string> names;
  for (const Golden &g : goldens())
    names.insert(g.format);
  return names;
}

class GgmlVariants : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Encode, GgmlVariants, ::testing::ValuesIn(formats()),
                         [](const auto &info) { return info.param; });
} // namespace

TEST_P(GgmlVariants, SameBytes) {
  const auto format = formatOf(GetParam());
  for (const Golden &golden : goldens()) {
    if (golden.format != GetParam())
      continue;
    SCOPED_TRACE(golden.variant + " " + golden.statistic);
    const Variant v = variantNamed(golden.variant);
    ASSERT_EQ(hashOf(std::as_bytes(std::span(v.x))), golden.input);
    auto fields = encode(*format, v.x, 8, 2048, golden.statistic == "imat" ? v.importance : std::vector<float>());
    ASSERT_TRUE(fields) << fields.error().message;
    EXPECT_EQ(hashOf(storeBlocks(*format, *fields, 8, 2048)), golden.hash);
  }
}
