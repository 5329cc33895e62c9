//===- PolicyTest.cpp -------------------------------------------------------------------------------------------===//
//
// Expected values are written out from the tables of llama-quantize's rules, layer by layer.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "quantc/Policy/Policy.h"
#include "quantc/Support/Files.h"
#include <gtest/gtest.h>

using namespace quantc;

namespace {
struct PolicyTest : testing::Test {
  std::shared_ptr<Catalog> catalog = Catalog::open(QUANTC_SOURCE_DIR).value();
  PolicyModel model{.layers = 22, .heads = 32, .kvHeads = 4};

  std::string format(const std::string &policy, const std::string &tensor, int64_t columns = 2048) {
    auto p = Policy::load(policy, QUANTC_SOURCE_DIR);
    if (!p)
      return p.error().message;
    auto f = p->formatOf({tensor, 512, columns}, model, *catalog);
    return f ? *f : f.error().message;
  }
  /// Layers whose `role` gets `wanted`.
  std::vector<int> layersWith(const std::string &policy, const std::string &role, const std::string &wanted) {
    std::vector<int> all;
    for (int i = 0; i < model.layers; i++)
      if (format(policy, fmt::format("blk.{}.{}.weight", i, role)) == wanted)
        all.push_back(i);
    return all;
  }
};

TEST_F(PolicyTest, MoreBitsTable) {
  const std::vector<int> of22 = {0, 1, 4, 7, 10, 13, 16, 19, 20, 21};
  EXPECT_EQ(layersWith("q4_k_m", "attn_v", "q6_k"), of22);
  EXPECT_EQ(layersWith("q5_k_m", "ffn_down", "q6_k"), of22);
  model.layers = 12;
  EXPECT_EQ(layersWith("q4_k_m", "ffn_down", "q6_k"), (std::vector<int>{0, 3, 6, 9, 10, 11}));
  model.layers = 40;
  EXPECT_EQ(layersWith("q4_k_m", "attn_v", "q6_k"),
            (std::vector<int>{0, 1, 2, 3, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31, 34, 35, 36, 37, 38, 39}));
}

TEST_F(PolicyTest, OutputAndEmbedding) {
  for (const char *policy : {"q4_0", "q4_k_m", "q2_k", "q3_k_s", "q5_k_s", "q6_k"})
    EXPECT_EQ(format(policy, "output.weight"), "q6_k") << policy;
  EXPECT_EQ(format("q8_0", "output.weight"), "q8_0");
  EXPECT_EQ(format("q4_k_m", "token_embd.weight"), "q4_k");
  EXPECT_EQ(format("q2_k", "token_embd.weight"), "q2_k");
  model.tied = true;
  EXPECT_EQ(format("q4_0", "token_embd.weight"), "q6_k");
}

TEST_F(PolicyTest, Mixtures) {
  EXPECT_EQ(format("q2_k", "blk.5.attn_v.weight"), "q4_k"); // 8 query heads for each KV head
  model.kvHeads = 32;
  EXPECT_EQ(format("q2_k", "blk.5.attn_v.weight"), "q3_k");
  EXPECT_EQ(format("q2_k", "blk.5.ffn_down.weight"), "q3_k");
  EXPECT_EQ(format("q2_k", "blk.5.attn_output.weight"), "q3_k");
  EXPECT_EQ(format("q2_k", "blk.5.attn_q.weight"), "q2_k");
  EXPECT_EQ(layersWith("q3_k_m", "attn_v", "q5_k"), (std::vector<int>{0, 1}));
  EXPECT_EQ(layersWith("q3_k_m", "ffn_down", "q5_k"), (std::vector<int>{0})); // 22 / 16
  EXPECT_EQ(layersWith("q4_k_s", "attn_v", "q5_k"), (std::vector<int>{0, 1, 2, 3}));
  EXPECT_EQ(layersWith("q4_k_s", "ffn_down", "q5_k"), (std::vector<int>{0, 1})); // 22 / 8
  EXPECT_EQ(layersWith("q3_k_l", "attn_output", "q5_k").size(), 22u);
}

TEST_F(PolicyTest, FallbacksWhereBlocksDoNotFit) {
  EXPECT_EQ(format("q4_k_m", "blk.3.ffn_up.weight", 4128), "q5_0");
  EXPECT_EQ(format("q6_k", "blk.3.ffn_up.weight", 4128), "q8_0");
  EXPECT_EQ(format("q5_k_m", "blk.3.ffn_up.weight", 4128), "q5_1");
  EXPECT_EQ(format("q2_k", "blk.3.ffn_up.weight", 4128), "q4_0");
  EXPECT_EQ(format("q3_k_m", "blk.3.ffn_up.weight", 4128), "q4_0");
  EXPECT_EQ(format("q4_k_m", "blk.3.ffn_up.weight", 100), "f16");
  EXPECT_EQ(format("q4_0", "blk.3.ffn_up.weight", 100), "f16");
}

TEST_F(PolicyTest, UniformRefusesWithWhatFits) {
  auto error = Policy::uniform("q4_k").formatOf({"blk.0.ffn_up.weight", 64, 4128}, model, *catalog).error().message;
  EXPECT_NE(error.find("'blk.0.ffn_up.weight' (64 x 4128)"), std::string::npos) << error;
  EXPECT_NE(error.find(" q8_0"), std::string::npos) << error;
  EXPECT_EQ(error.find(" q6_k"), std::string::npos) << error;
  EXPECT_EQ(Policy::uniform("int:4:g32").formatOf({"output.weight", 64, 96}, model, *catalog).value(), "int:4:g32");
}

TEST_F(PolicyTest, BadPoliciesAreOneLine) {
  EXPECT_NE(format("none", "output.weight").find("there is no policy 'none'; known: "), std::string::npos);
  auto tell = [&](const char *text) {
    const std::string path = testing::TempDir() + "/policy.json";
    auto file = AtomicFile::create(path);
    EXPECT_TRUE(file && file->write(text) && file->commit());
    return format(path, "output.weight");
  };
  EXPECT_NE(tell("[").find("not a JSON object"), std::string::npos);
  EXPECT_NE(tell(R"({"rules": []})").find("not a policy"), std::string::npos);
  EXPECT_NE(tell(R"({"format": "q8_0", "rule": []})").find("a policy has no \"rule\""), std::string::npos);
  EXPECT_NE(
      tell(R"({"format": "q8_0", "rules": [{"tensors": "x", "format": "q8_0"}]})").find("a rule has no \"tensors\""),
      std::string::npos);
  EXPECT_NE(tell(R"({"format": "q8_0", "rules": [{"layers": "odd", "format": "q8_0"}]})").find("\"odd\" is not known"),
            std::string::npos);
  EXPECT_NE(tell(R"({"format": "q9_9"})").find("there is no format 'q9_9'"), std::string::npos);
}
} // namespace
