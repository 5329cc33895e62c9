//===- VectorsTest.cpp - ids that other people's tokenizers gave ------------------------------------------------===//
//
// Texts and ids of llama.cpp's vocabulary tests (cases parted by a line `__ggml_vocab_test__`, ids a line each), which
// its authors made with the original tokenizers. They are not part of the project: skipped where the data is not at
// hand.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "TestData.h"
#include "quantc/Tokenizer/Tokenizer.h"
#include <fstream>
#include <gtest/gtest.h>
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

TEST(TokenizerVectors, SentencePieceModel) {
  QUANTC_REQUIRE_DATA(data, "tokenizers");
  expectVectors(*load(data / "llama2"), data / "ggml-vocab" / "ggml-vocab-llama-spm.gguf");
}

TEST(TokenizerVectors, JsonWithByteFallback) {
  QUANTC_REQUIRE_DATA(data, "tokenizers");
  expectVectors(*load(data / "phi3"), data / "ggml-vocab" / "ggml-vocab-phi-3.gguf");
}

TEST(TokenizerVectors, TextComesBack) {
  QUANTC_REQUIRE_DATA(data, "tokenizers");
  for (const char *name : {"llama2", "phi2", "phi3", "gpt-neox"}) {
    fs::path directory = data / name;
    if (std::string(name) == "gpt-neox") { // the file has another name there
      fs::path copy = fs::path(testing::TempDir()) / fmt::format("neox-{}", ::getpid());
      fs::create_directories(copy);
      fs::copy_file(directory / "20B_tokenizer.json", copy / "tokenizer.json", fs::copy_options::overwrite_existing);
      directory = copy;
    }
    auto tokenizer = load(directory);
    for (const std::string &text : cases(data / "ggml-vocab" / "ggml-vocab-gpt-2.gguf.inp")) {
      auto ids = tokenizer->encode(text, {.addSpecial = false}).value();
      EXPECT_EQ(tokenizer->decode(ids, true).value(), text) << name;
    }
  }
}
} // namespace
