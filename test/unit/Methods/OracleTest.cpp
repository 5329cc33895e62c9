//===- OracleTest.cpp - against an independent program in f64 (test/oracle/layer_methods.py) --------------------===//

#include "TestLayers.h"
#include "quantc/Encode/Encode.h"
#include "quantc/Methods/Awq.h"
#include <cmath>
#include <fstream>
#include <sstream>

using namespace quantc;
using namespace quantc::test;

/// The words of each line whose first word is `method`.
static std::vector<std::vector<std::string>> cases(const std::string &method) {
  std::ifstream file(QUANTC_SOURCE_DIR "/test/golden/methods/layers.txt");
  std::vector<std::vector<std::string>> found;
  for (std::string line; std::getline(file, line);) {
    std::istringstream text(line);
    std::vector<std::string> words;
    for (std::string word; text >> word;)
      words.push_back(word);
    if (words.front() == method)
      found.push_back(words);
  }
  return found;
}

/// The algorithm as published, and with the scales of usual implementations; with scales that are searched, too.
TEST(Oracle, GptqGivesTheSameCodes) {
  auto lines = cases("gptq");
  ASSERT_EQ(lines.size(), 40u);
  const auto searched = cases("gptq-mse");
  ASSERT_EQ(searched.size(), 24u);
  lines.insert(lines.end(), searched.begin(), searched.end());
  for (const auto &line : lines) {
    const auto format = formatOf(line[1]);
    SCOPED_TRACE(line[1] + " " + line[2] + " " + line[3]);
    GptqOptions options{.actOrder = line[2] != "natural",
                        .staticGroups = line[2] == "static",
                        .scales = line[3] == "block" ? GptqScales::Block : GptqScales::Updated,
                        .refit = false,
                        .grid = line[0] == "gptq-mse" ? GptqGrid::Mse : GptqGrid::Range};
    const auto result = gptqOf(*format, oracleLayer(), options);
    ASSERT_TRUE(result);
    const std::vector<uint64_t> &codes = result->fields[format->field("q")->index];
    const size_t digits = line[5].size() / codes.size();
    size_t different = 0;
    for (size_t i = 0; i < codes.size(); i++)
      different += codes[i] != std::stoull(line[5].substr(i * digits, digits), nullptr, 16);
    EXPECT_LE(different, codes.size() / 1000);
    EXPECT_NEAR(result->error / std::stod(line[4]), 1, 1e-3);
    EXPECT_EQ(result->order.empty(), line[2] != "moving");
  }
}

TEST(Oracle, AwqFindsTheSameScalesAndClips) {
  const auto lines = cases("awq");
  ASSERT_EQ(lines.size(), 16u);
  for (const auto &line : lines) {
    const auto format = formatOf(line[1]);
    SCOPED_TRACE(line[1] + " " + line[2]);
    const Layer &layer = oracleLayer();
    const AwqOptions options{.form = line[2] == "duo" ? AwqScaleForm::InputsAndWeights : AwqScaleForm::Inputs};
    const AwqLinear linear{rowsOf(layer.w, layer.K), layer.N, format.get()};
    const auto found = awqScales(std::span(&linear, 1), layer.K, layer.statistics, options, 1);
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_DOUBLE_EQ(found->ratio, std::stod(line[3]));
    EXPECT_NEAR(found->errorBefore / std::stod(line[4]), 1, 1e-3);
    EXPECT_NEAR(found->error / std::stod(line[5]), 1, 1e-3);

    Layer scaled = layer;
    for (size_t i = 0; i < scaled.w.size(); i++)
      scaled.w[i] *= found->scales[i % layer.K];
    scaled.statistics = dividedInputs(scaled.statistics, found->scales);
    const std::vector<float> before = scaled.w;
    const auto clipped = awqClip(*format, scaled.w, layer.N, layer.K, scaled.statistics, options, 1);
    ASSERT_TRUE(clipped) << clipped.error().message;
    auto fields = encode(*format, scaled.w, layer.N, layer.K);
    ASSERT_TRUE(fields);
    scaled.w = before; // the error is that of the weights before they were clipped
    EXPECT_NEAR(errorOf(*format, *fields, scaled) / std::stod(line[6]), 1, 1e-3);
  }
}
