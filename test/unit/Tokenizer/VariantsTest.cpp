//===- VariantsTest.cpp - every component of tokenizer.json as the library `tokenizers` has it ------------------===//
//
// test/golden/tokenizer/variants.json, written by test/oracle/tokenizer_variants.py.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "quantc/Tokenizer/Tokenizer.h"
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

using namespace quantc;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {
const json &golden() {
  static const json all = json::parse(std::ifstream(QUANTC_SOURCE_DIR "/test/golden/tokenizer/variants.json"));
  return all;
}

Result<std::unique_ptr<Tokenizer>> load(const json &document) {
  const fs::path directory = fs::path(testing::TempDir()) / fmt::format("variant-{}", ::getpid());
  fs::create_directories(directory);
  std::ofstream(directory / "tokenizer.json") << document.dump();
  auto model = TokenizerModel::fromHuggingFace(directory);
  fs::remove_all(directory);
  if (!model)
    return tl::unexpected(model.error());
  // As an artifact has it.
  const std::string tables = model->serialize();
  QUANTC_ASSIGN(TokenizerModel again, TokenizerModel::parse(std::as_bytes(std::span(tables))));
  EXPECT_EQ(again.serialize(), tables);
  return Tokenizer::create(std::move(again));
}

json documentOf(const json &variant) {
  json document = variant.at("document");
  document["model"] = golden().at("models").at(variant.at("model").get<std::string>());
  document["model"].update(variant.at("settings"));
  return document;
}

TEST(TokenizerVariants, GiveIdsAndTexts) {
  size_t count = 0;
  for (const json &variant : golden().at("variants")) {
    SCOPED_TRACE(variant.at("name").get<std::string>());
    auto tokenizer = load(documentOf(variant));
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    for (const json &test : variant.at("cases")) {
      const auto text = test.at("text").get<std::string>();
      const auto ids = (*tokenizer)->encode(text);
      ASSERT_TRUE(ids) << ids.error().message;
      EXPECT_EQ(*ids, test.at("ids").get<std::vector<int32_t>>()) << "'" << text << "'";
      const auto plain = (*tokenizer)->encode(text, {.addSpecial = false}).value();
      EXPECT_EQ((*tokenizer)->decode(plain).value(), test.at("back").get<std::string>()) << "'" << text << "'";
      count++;
    }
  }
  EXPECT_GT(count, 1000u);
}

/// What a tokenizer.json is refused for, with one part of it changed.
std::string refusal(const char *model, const json &patch) {
  for (const json &variant : golden().at("variants"))
    if (variant.at("model") == model) {
      json document = documentOf(variant);
      document.merge_patch(patch);
      const auto tokenizer = load(document);
      return tokenizer ? "accepted" : tokenizer.error().message;
    }
  return "no such model";
}

TEST(TokenizerVariants, WhatIsNotKnownIsRefused) {
  const auto expect = [](const char *model, const char *patch, const char *message) {
    EXPECT_NE(refusal(model, json::parse(patch)).find(message), std::string::npos)
        << patch << ": " << refusal(model, json::parse(patch));
  };
  expect("bytes", "{}", "accepted");
  expect("bytes", R"({"truncation": {"max_length": 2}, "padding": {"strategy": "BatchLongest"}})", "accepted");
  expect("characters", "{}", "accepted");
  expect("bytes", R"({"normalizer": {"type": "BertNormalizer"}})", "normalizer \"BertNormalizer\" is not supported");
  expect("bytes", R"({"normalizer": {"type": "Precompiled"}})", "normalizer \"Precompiled\" is not supported");
  expect("bytes", R"({"pre_tokenizer": {"type": "BertPreTokenizer"}})", "\"BertPreTokenizer\" is not supported");
  expect("bytes", R"({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
           {"type": "ByteLevel"}, {"type": "Digits"}]}})",
         "\"Digits\" after one of bytes");
  expect("bytes", R"({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
           {"type": "Digits"}, {"type": "ByteLevel", "add_prefix_space": true}]}})",
         "a space before each word");
  expect("bytes", R"({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
           {"type": "Metaspace", "replacement": "_", "split": false},
           {"type": "ByteLevel", "add_prefix_space": false}]}})",
         "before one of bytes");
  expect("bytes", R"({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
           {"type": "Digits"}, {"type": "Metaspace", "replacement": "_"}]}})",
         "\"Metaspace\" after another one");
  expect("bytes", R"({"pre_tokenizer": {"type": "Metaspace", "replacement": "_", "prepend_scheme": "last"}})",
         "the scheme \"last\"");
  expect("bytes", R"({"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Split", "invert": true,
           "pattern": {"Regex": "a"}, "behavior": "MergedWithNext"}, {"type": "ByteLevel"}]}})",
         "with 'invert'");
  expect("bytes", R"({"post_processor": {"type": "BertProcessing"}})", "post-processor \"BertProcessing\"");
  expect("bytes", R"({"decoder": {"type": "WordPiece"}})", "decoder \"WordPiece\" is not supported");
  expect("bytes", R"({"decoder": {"type": "Metaspace", "replacement": "_"}})",
         "decoder \"Metaspace\" is not supported");
  expect("characters", R"({"decoder": {"type": "ByteLevel"}})", "decoder \"ByteLevel\" is not supported");
  expect("characters", R"({"pre_tokenizer": {"type": "Metaspace", "replacement": "_"}})",
         "reads \"\u2581\" as a space");
  expect("characters", R"({"decoder": {"type": "Metaspace", "replacement": "\u2581"}})", "does not make text of them");
  expect("characters", R"({"model": {"dropout": 0.1}})", "at random (dropout)");
  expect("characters", R"({"model": {"end_of_word_suffix": "</w>"}})", "end_of_word_suffix");
  expect("characters", R"({"model": {"continuing_subword_prefix": "@@"}})", "continuing_subword_prefix");
  expect("characters", R"({"model": {"unk_token": "<none>"}})",
         "the unknown token \"<none>\" is not in the vocabulary");
  expect("characters", R"({"model": {"vocab": {"<0x41>": null}}})", "has no token <0x41>");
}
} // namespace
