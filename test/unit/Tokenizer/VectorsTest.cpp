//===- VectorsTest.cpp - ids that other people's tokenizers gave ------------------------------------------------===//
//
// Texts and ids of llama.cpp's vocabulary tests (cases parted by a line `__ggml_vocab_test__`, ids a line each), which
// its authors made with the original tokenizers, and those of tiktoken. They are not part of the project: skipped where
// the data is not at hand.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "RankedTokens.h"
#include "TestData.h"
#include "quantc/Artifact/Gguf.h"
#include "quantc/Tokenizer/Tokenizer.h"
#include <algorithm>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <sstream>

using namespace quantc;
namespace fs = std::filesystem;

namespace {
std::vector<std::string> cases(const fs::path &path) {
  const std::string text = readText(path).value(), mark = "\n__ggml_vocab_test__\n";
  std::vector<std::string> all;
  for (size_t at = 0, end = 0; at < text.size(); at = end + mark.size()) {
    end = std::min(text.find(mark, at), text.size());
    all.push_back(text.substr(at, end - at));
  }
  return all;
}

void expectVectors(const Tokenizer &tokenizer, const fs::path &vectors) {
  std::ifstream out(vectors.string() + ".out");
  ASSERT_TRUE(out);
  std::string line;
  for (const std::string &text : cases(vectors.string() + ".inp")) {
    ASSERT_TRUE(std::getline(out, line));
    std::istringstream words(line);
    std::vector<int32_t> want(std::istream_iterator<int32_t>(words), {});
    auto got = tokenizer.encode(text, {.addSpecial = false, .parseSpecial = false});
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(*got, want) << "for the text '" << text << "'";
  }
}

std::unique_ptr<Tokenizer> load(const fs::path &directory) {
  auto model = TokenizerModel::fromHuggingFace(directory);
  EXPECT_TRUE(model) << model.error().message;
  return model ? std::move(Tokenizer::create(std::move(*model)).value()) : nullptr;
}

/// The tokenizer of one file, whatever lies beside it.
std::unique_ptr<Tokenizer> loadFile(const fs::path &file, const char *name) {
  const fs::path directory = fs::path(testing::TempDir()) / fmt::format("one-file-{}", ::getpid());
  fs::create_directories(directory);
  fs::copy_file(file, directory / name, fs::copy_options::overwrite_existing);
  auto tokenizer = load(directory);
  fs::remove_all(directory);
  return tokenizer;
}

TEST(TokenizerVectors, SentencePieceModel) {
  QUANTC_REQUIRE_DATA(data, "tokenizers");
  const auto tokenizer = loadFile(data / "llama2" / "tokenizer.model", "tokenizer.model");
  expectVectors(*tokenizer, data / "ggml-vocab" / "ggml-vocab-llama-spm.gguf");
}

TEST(TokenizerVectors, JsonWithByteFallback) {
  QUANTC_REQUIRE_DATA(data, "tokenizers");
  expectVectors(*load(data / "phi3"), data / "ggml-vocab" / "ggml-vocab-phi-3.gguf");
}

// As newer conversions of SentencePiece models write it; ids by `tokenizers`.
TEST(TokenizerVectors, JsonWithMetaspace) {
  QUANTC_REQUIRE_DATA(data, "tokenizers");
  nlohmann::json root = nlohmann::json::parse(std::ifstream(data / "phi3" / "tokenizer.json")); // Llama 2's vocabulary
  root["normalizer"] = nullptr;
  root["pre_tokenizer"] = {
      {"type", "Metaspace"}, {"replacement", "\u2581"}, {"prepend_scheme", "first"}, {"split", false}};
  const fs::path directory = fs::path(testing::TempDir()) / fmt::format("metaspace-{}", ::getpid());
  fs::create_directories(directory);
  std::ofstream(directory / "tokenizer.json") << root.dump();
  EXPECT_EQ(load(directory)->encode("Hello world", {.addSpecial = false}).value(), (std::vector<int32_t>{15043, 3186}));
  fs::remove_all(directory);
}

class GgufVectors : public testing::TestWithParam<const char *> {};

TEST_P(GgufVectors, TokenizerOfTheFile) {
  QUANTC_REQUIRE_DATA(data, "tokenizers");
  const fs::path path = data / "ggml-vocab" / fmt::format("ggml-vocab-{}.gguf", GetParam());
  auto file = Gguf::open(path);
  ASSERT_TRUE(file) << file.error().message;
  auto model = TokenizerModel::fromGguf((*file)->metadata(), QUANTC_SOURCE_DIR "/tokenizers/pretokenizers.json");
  ASSERT_TRUE(model) << model.error().message;
  expectVectors(*Tokenizer::create(std::move(*model)).value(), path);
}

INSTANTIATE_TEST_SUITE_P(Files, GgufVectors, testing::Values("llama-spm", "phi-3", "gpt-2", "mpt", "refact"),
                         [](const auto &info) {
                           std::string name = info.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

std::unique_ptr<Tokenizer> withSplits(TokenizerModel model, const char *preTokenizer) {
  test::setPreTokenizer(model, preTokenizer);
  auto tokenizer = Tokenizer::create(std::move(model));
  EXPECT_TRUE(tokenizer) << tokenizer.error().message;
  return tokenizer ? std::move(*tokenizer) : nullptr;
}

TEST(TokenizerVectors, Llama3Ranks) {
  QUANTC_REQUIRE_DATA(data, "tokenizers");
  auto tokenizer = withSplits(test::readTiktoken(data / "llama3" / "tokenizer.model"), "llama-bpe");
  expectVectors(*tokenizer, data / "ggml-vocab" / "ggml-vocab-llama-bpe.gguf");
}

TEST(TokenizerVectors, Qwen2VocabAndMerges) {
  QUANTC_REQUIRE_DATA(data, "tokenizers");
  auto model = test::readVocabAndMerges(data / "qwen2");
  model.normalizers = {{Normalizer::NFC}}; // as its tokenizer.json says
  expectVectors(*withSplits(std::move(model), "qwen2"), data / "ggml-vocab" / "ggml-vocab-qwen2.gguf");
}

class TiktokenPlans : public testing::TestWithParam<std::pair<const char *, const char *>> {};

// "EncodingName: …", "Sample: …", "Encoded: [1, 2]", an empty line.
TEST_P(TiktokenPlans, GiveTheIds) {
  QUANTC_REQUIRE_DATA(data, "tokenizers/tiktoken");
  auto [encoding, preTokenizer] = GetParam();
  auto tokenizer = withSplits(test::readTiktoken(data / fmt::format("{}.tiktoken", encoding)), preTokenizer);
  const std::string plans = readText(data / "TestPlans.txt").value();
  const std::string head = fmt::format("EncodingName: {}\nSample: ", encoding), middle = "\nEncoded: [";
  int count = 0;
  for (size_t at = plans.find(head); at != std::string::npos; at = plans.find(head, at), count++) {
    at += head.size();
    const size_t end = plans.find(middle, at), close = plans.find(']', end);
    const std::string text = plans.substr(at, end - at);
    std::vector<int32_t> want;
    std::istringstream list(plans.substr(end + middle.size(), close - end - middle.size()));
    for (std::string id; std::getline(list, id, ',');)
      want.push_back(std::stoi(id));
    auto got = tokenizer->encode(text);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_EQ(*got, want) << "for the text '" << text << "'";
  }
  EXPECT_GT(count, 50);
}

INSTANTIATE_TEST_SUITE_P(Encodings, TiktokenPlans,
                         testing::Values(std::pair("r50k_base", "gpt-2"), std::pair("cl100k_base", "llama-bpe"),
                                         std::pair("o200k_base", "gpt-4o")),
                         [](const auto &info) { return std::string(info.param.first); });

TEST(TokenizerVectors, TextComesBack) {
  QUANTC_REQUIRE_DATA(data, "tokenizers");
  const std::pair<const char *, const char *> files[] = {{"llama2/tokenizer.model", "tokenizer.model"},
                                                         {"phi2/tokenizer.json", "tokenizer.json"},
                                                         {"phi3/tokenizer.json", "tokenizer.json"},
                                                         {"gpt-neox/20B_tokenizer.json", "tokenizer.json"}};
  for (auto &[file, name] : files) {
    const auto tokenizer = loadFile(data / file, name);
    for (const std::string &text : cases(data / "ggml-vocab" / "ggml-vocab-gpt-2.gguf.inp")) {
      auto ids = tokenizer->encode(text, {.addSpecial = false}).value();
      EXPECT_EQ(tokenizer->decode(ids, true).value(), text) << file;
    }
  }
}
} // namespace
