//===- TokenizerJsonFuzzer.cpp - hostile tokenizers of Hugging Face directories ---------------------------------===//

#include "Texts.h"

using namespace fuzz;

static const ordered_json &seed() {
  static const ordered_json tree = {{"tokenizer.json", smallTokenizer()},
                                    {"tokenizer_config.json",
                                     {{"bos_token", "<s>"},
                                      {"eos_token", {{"content", "<x>"}}},
                                      {"add_bos_token", true},
                                      {"chat_template", "{{ x }}"}}},
                                    {"generation_config.json", {{"eos_token_id", {6, 7}}}},
                                    {"text", "ab ab<s> c\u00e9 aabb<x>"}};
  return tree;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static Folder folder;
  const ordered_json tree = treeOf(data, size);
  if (!tree.is_object())
    return -1;
  folder.hold(tree);
  auto model = quantc::TokenizerModel::fromHuggingFace(folder.path);
  expectMessage(model);
  if (model)
    useTokenizer(std::move(*model),
                 tree.contains("text") && tree["text"].is_string() ? tree["text"].get<std::string>() : "ab");
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t maxSize, unsigned random) {
  return mutateTree(data, size, maxSize, random, seed());
}
