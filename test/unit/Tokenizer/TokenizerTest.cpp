//===- TokenizerTest.cpp ----------------------------------------------------------------------------------------===//

#include "quantc/Tokenizer/Tokenizer.h"
#include "quantc/Artifact/GgufMetadata.h"
#include <bit>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

using namespace quantc;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {
/// A directory with a tokenizer.json.
struct TokenizerTest : testing::Test {
  fs::path dir = fs::path(testing::TempDir()) / fmt::format("tokenizer-{}", ::getpid());
  void SetUp() override { fs::create_directories(dir); }
  void TearDown() override { fs::remove_all(dir); }
  void put(const char *name, const std::string &text) {
    auto file = AtomicFile::create(dir / name);
    ASSERT_TRUE(file && file->write(text) && file->commit());
  }
  Result<std::unique_ptr<Tokenizer>> load() {
    QUANTC_ASSIGN(TokenizerModel model, TokenizerModel::fromHuggingFace(dir));
    return Tokenizer::create(std::move(model));
  }
  std::string error() {
    auto r = load();
    return r ? "accepted" : r.error().message;
  }

  /// a, b, space (as U+0120), ab, " ab", and every other byte; "ab" before " a".
  static json small() {
    json vocab;
    for (int b = 33; b < 127; b++)
      vocab[std::string(1, char(b))] = b;
    vocab["\u0120"] = 200;
    vocab["\u010a"] = 201;
    vocab["ab"] = 202;
    vocab["\u0120ab"] = 203;
    vocab["abab"] = 204;
    return {
        {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", {"a b", "\u0120 ab", "ab ab"}}}},
        {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
        {"added_tokens",
         {{{"id", 0}, {"content", "<s>"}, {"special", true}}, {{"id", 1}, {"content", "<word>"}, {"special", false}}}},
        {"post_processor",
         {{"type", "TemplateProcessing"},
          {"single", {{{"SpecialToken", {{"id", "<s>"}}}}, {{"Sequence", {{"id", "A"}}}}}},
          {"special_tokens", {{"<s>", {{"ids", {0}}}}}}}}};
  }
  using Ids = std::vector<int32_t>;
};

TEST_F(TokenizerTest, DamagedSentencePieceModelsAreErrors) {
  using namespace std::string_literals;
  const std::string unknown = "\x0a\x09\x0a\x05<unk>\x18\x02"s;
  // A piece that begins with a zero byte, which the library reports by an exception; no piece; no model.
  for (const std::string &bytes : {unknown + "\x0a\x04\x0a\x02\0a"s, ""s, "\x0a"s, "not a model"s}) {
    put("tokenizer.model", bytes);
    EXPECT_NE(error().find("tokenizer.model: not a SentencePiece model"), std::string::npos) << error();
  }
}

TEST_F(TokenizerTest, IdsAreWholeNumbers) {
  for (const json &id : {json(-1), json(1e300), json(0.5), json("a"), json(true), json(uint64_t(1) << 63)}) {
    json root = small();
    root["model"]["vocab"]["a"] = id;
    put("tokenizer.json", root.dump());
    EXPECT_NE(error().find("the id of token \"a\" is no whole number"), std::string::npos) << error();
  }
  json root = small();
  root["post_processor"]["special_tokens"]["<s>"]["ids"] = {(int64_t(1) << 32) + 1};
  put("tokenizer.json", root.dump());
  EXPECT_NE(error().find("outside its vocabulary"), std::string::npos) << error();
}

TEST_F(TokenizerTest, MergesByRankWithinWords) {
  put("tokenizer.json", small().dump());
  auto t = load().value();
  EXPECT_EQ(t->encode("ab ab abab").value(), (Ids{0, 202, 203, 203, 202}));
  EXPECT_EQ(t->encode("abab", {.addSpecial = false}).value(), (Ids{204}));
  EXPECT_EQ(t->encode("aab", {.addSpecial = false}).value(), (Ids{97, 202}));
  EXPECT_EQ(t->encode("", {.addSpecial = false}).value(), Ids{});
}

TEST_F(TokenizerTest, AddedTokensAreFoundInText) {
  put("tokenizer.json", small().dump());
  auto t = load().value();
  EXPECT_EQ(t->encode("ab<s><word>", {.addSpecial = false}).value(), (Ids{202, 0, 1}));
  EXPECT_EQ(t->encode("<s>", {.addSpecial = false, .parseSpecial = false}).value(), (Ids{'<', 's', '>'}));
  EXPECT_EQ(t->decode(Ids{0, 202, 1}).value(), "ab<word>");
  // Of added tokens that begin alike the longest is found.
  json longer = small();
  longer["added_tokens"].push_back({{"id", 2}, {"content", "<word>b"}, {"special", false}});
  put("tokenizer.json", longer.dump());
  EXPECT_EQ(load().value()->encode("<word>b<word>a", {.addSpecial = false}).value(), (Ids{2, 1, 97}));
  EXPECT_EQ(t->decode(Ids{0, 202}, true).value(), "<s>ab");
}

TEST_F(TokenizerTest, ConfigNamesSpecialTokens) {
  put("tokenizer.json", small().dump());
  put("tokenizer_config.json", R"({"bos_token": "<s>", "eos_token": {"content": "<word>"}, "chat_template": "x"})");
  put("generation_config.json", R"({"eos_token_id": [1, 202]})");
  auto t = load().value();
  EXPECT_EQ(t->model().bos, 0u);
  EXPECT_EQ(t->model().eos, 1u);
  EXPECT_EQ(t->model().stops, (Ids{1, 202}));
  EXPECT_EQ(t->model().chatTemplate, "x");
  put("tokenizer_config.json",
      R"({"chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]})");
  EXPECT_EQ(load().value()->model().chatTemplate, "d");
  put("chat_template.jinja", "j");
  EXPECT_EQ(load().value()->model().chatTemplate, "j");
}

TEST_F(TokenizerTest, TablesComeBackWhole) {
  put("tokenizer.json", small().dump());
  auto t = load().value();
  const std::string tables = t->model().serialize();
  auto again = TokenizerModel::parse(std::as_bytes(std::span(tables)));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->serialize(), tables);
  EXPECT_EQ(Tokenizer::create(*again).value()->encode("ab ab").value(), t->encode("ab ab").value());
  for (size_t size = 0; size < tables.size(); size++)
    EXPECT_FALSE(TokenizerModel::parse(std::as_bytes(std::span(tables.data(), size)))) << size;
  const std::string longer = tables + "x";
  EXPECT_FALSE(TokenizerModel::parse(std::as_bytes(std::span(longer))));
}

// An added token of half a character would leave the other half to a regular expression, which trusts that it is UTF-8.
TEST_F(TokenizerTest, WhatMeetsTextsIsUtf8) {
  put("tokenizer.json", small().dump());
  const TokenizerModel whole = load().value()->model();
  const auto refused = [](const TokenizerModel &model) {
    const std::string tables = model.serialize();
    auto parsed = TokenizerModel::parse(std::as_bytes(std::span(tables)));
    return parsed ? "accepted" : parsed.error().message;
  };
  EXPECT_EQ(refused(whole), "accepted");
  TokenizerModel broken = whole;
  broken.tokens[1].text = "\xc3";
  EXPECT_EQ(refused(broken), "token 1 of the tokenizer (\"\ufffd\") is looked for in texts, but is not UTF-8");
  broken = whole;
  broken.spaceSymbol = "\x96\x81";
  EXPECT_THAT(refused(broken), testing::HasSubstr("which is not UTF-8"));
  broken = whole;
  broken.normalizers.push_back({Normalizer::Replace, "a", "a\xff"});
  EXPECT_THAT(refused(broken), testing::HasSubstr("a normalizer of the tokenizer puts"));
  broken = whole; // tokens that only come out of merges may be any bytes
  broken.tokens[202].text = "\xc3";
  broken.merges.clear();
  EXPECT_EQ(refused(broken), "accepted");
}

// Tables of the first version, which had a Unicode form and whether a space is put before a text.
TEST_F(TokenizerTest, TablesOfTheFirstVersionAreRead) {
  std::string tables("qctok\0\0\1", 8);
  const auto number = [&](uint32_t value) { tables.append(reinterpret_cast<const char *>(&value), 4); };
  const auto text = [&](std::string_view s) {
    number(static_cast<uint32_t>(s.size()));
    tables += s;
  };
  for (uint32_t value : {1, 1, 3}) // of bytes, NFC, ignore_merges and a space before the text
    number(value);
  const std::tuple<const char *, float, uint32_t> tokens[] = {
      {"a", 0, 1}, {"\u0120", 0, 1}, {"\u0120a", 0, 1}, {"<s>", 0, 3}};
  number(std::size(tokens));
  for (auto &[piece, score, type] : tokens) {
    number(std::bit_cast<uint32_t>(score));
    number(type);
    text(piece);
  }
  number(1);
  text("\u0120");
  text("a");
  number(1);
  text("a+|\\s+a");
  text("");
  for (uint32_t value : {1, 3, 0, 0, 3, -1}) // prefix [3], no suffix, no stops, BOS, no EOS
    number(value);
  text("template");
  auto model = TokenizerModel::parse(std::as_bytes(std::span(tables)));
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ(model->normalizers, std::vector{Normalizer{Normalizer::NFC}});
  EXPECT_EQ(model->chatTemplate, "template");
  EXPECT_EQ(Tokenizer::create(*model).value()->encode("a a<s>a").value(), (Ids{3, 2, 2, 3, 2}));
}

TEST_F(TokenizerTest, FlagsOfLlamaGoBeforeThePostProcessor) {
  put("tokenizer.json", small().dump());
  const auto ids = [&](const char *config) {
    put("tokenizer_config.json", config);
    return load().value()->encode("ab").value();
  };
  EXPECT_EQ(ids(R"({"bos_token": "<s>", "add_bos_token": false})"), (Ids{0, 202}));
  EXPECT_EQ(ids(R"({"bos_token": "<s>", "add_bos_token": false, "tokenizer_class": "LlamaTokenizerFast"})"),
            (Ids{202}));
  EXPECT_EQ(ids(R"({"bos_token": "<s>", "tokenizer_class": "LlamaTokenizer"})"), (Ids{0, 202}));
  EXPECT_EQ(ids(R"({"eos_token": "<word>", "add_eos_token": true, "tokenizer_class": "LlamaTokenizer"})"),
            (Ids{202, 1}));
}

TEST_F(TokenizerTest, BadFilesAreOneLine) {
  EXPECT_NE(error().find("neither tokenizer.json nor tokenizer.model"), std::string::npos);
  put("tokenizer.json", "{");
  EXPECT_NE(error().find("not a JSON object"), std::string::npos);
  auto with = [&](auto change) {
    json j = small();
    change(j);
    put("tokenizer.json", j.dump());
    return error();
  };
  EXPECT_NE(with([](json &j) { j["model"]["type"] = "Unigram"; }).find("\"Unigram\" is not supported"),
            std::string::npos);
  EXPECT_NE(with([](json &j) { j["model"]["merges"].push_back("a nothing"); }).find("not in its vocabulary"),
            std::string::npos);
  EXPECT_NE(with([](json &j) { j["model"]["merges"].push_back("nogap"); }).find("two pieces"), std::string::npos);
  EXPECT_NE(with([](json &j) { j["model"]["vocab"]["x"] = 1u << 30; }).find("more than 2^24"), std::string::npos);
  EXPECT_NE(with([](json &j) { j["model"]["vocab"]["x"] = "no"; }).find("is no whole number"), std::string::npos);
  EXPECT_NE(with([](json &j) { j["pre_tokenizer"]["type"] = "Magic"; }).find("\"Magic\" is not supported"),
            std::string::npos);
  EXPECT_NE(with([](json &j) { j["normalizer"] = {{"type", "Nmt"}}; }).find("\"Nmt\" is not supported"),
            std::string::npos);
  EXPECT_NE(with([](json &j) {
              j["pre_tokenizer"] = {{"type", "Split"}, {"behavior", "Isolated"}, {"pattern", {{"Regex", "("}}}};
            }).find("not understood"),
            std::string::npos);
  put("tokenizer.json", small().dump());
  EXPECT_NE(load().value()->encode("a\xff").error().message.find("byte 0xff at offset 1"), std::string::npos);
  EXPECT_NE(load().value()->encode("\u00e9").error().message.find("no token for the byte 0xc3"), std::string::npos);
  EXPECT_NE(load().value()->decode(Ids{205}).error().message.find("outside the vocabulary"), std::string::npos);
}

// How numbers are cut: Llama 3 in threes, Qwen 2 in digits, GPT-2 not at all.
TEST(PreTokenizers, CutNumbers) {
  auto ids = [](const char *name, std::vector<std::string> tokens, std::vector<std::string> merges) {
    GgufMetadata metadata;
    auto add = [&](const char *key, GgufValue value) { ASSERT_TRUE(metadata.add(key, std::move(value))); };
    add("tokenizer.ggml.model", GgufValue::of("gpt2"));
    add("tokenizer.ggml.pre", GgufValue::of(name));
    add("tokenizer.ggml.tokens", GgufValue::array(std::move(tokens)));
    add("tokenizer.ggml.merges", GgufValue::array(std::move(merges)));
    auto model = TokenizerModel::fromGguf(metadata, fs::path(QUANTC_SOURCE_DIR) / "tokenizers" / "pretokenizers.json");
    EXPECT_TRUE(model) << model.error().message;
    return Tokenizer::create(std::move(*model)).value()->encode("1111111", {.addSpecial = false}).value();
  };
  const std::vector<std::string> tokens = {"1", "11", "111", "1111", "1111111"};
  const std::vector<std::string> merges = {"1 1", "11 1", "11 11", "1111 111"};
  EXPECT_EQ(ids("llama-bpe", tokens, merges), (std::vector<int32_t>{2, 2, 0}));
  EXPECT_EQ(ids("qwen2", tokens, merges), (std::vector<int32_t>(7, 0)));
  EXPECT_EQ(ids("gpt-2", tokens, merges), (std::vector<int32_t>{4}));
}

TEST_F(TokenizerTest, LongWordsTakeLinearSpaceAndShortTime) {
  put("tokenizer.json", small().dump());
  std::string text;
  for (int i = 0; i < 200000; i++)
    text += "ab";
  EXPECT_EQ(load().value()->encode(text, {.addSpecial = false}).value().size(), 100000u);
}
} // namespace
