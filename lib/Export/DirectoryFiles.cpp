//===- DirectoryFiles.cpp - what Hugging Face directories have beside their tensors -----------------------------===//

#include "DirectoryFiles.h"
#include "quantc/Support/Files.h"
#include <algorithm>
#include <nlohmann/json.hpp>

using namespace quantc;
namespace fs = std::filesystem;

/// Files beside the weights that belong to a model for other programs.
static constexpr const char *companions[] = {
    "generation_config.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json",      "vocab.json",     "merges.txt",      "chat_template.jinja",   "chat_template.json"};

std::string quantc::safetensorsType(const std::string &word) {
  std::string type = word;
  std::ranges::transform(type, type.begin(), [](unsigned char c) { return std::toupper(c); });
  return type.starts_with("E") ? "F8_" + type : type;
}

std::string quantc::pytorchType(const std::string &format) {
  return format == "f16" ? "float16" : format == "bf16" ? "bfloat16" : "float32";
}

Status quantc::writeJson(const fs::path &path, const nlohmann::ordered_json &object) {
  return writeFile(path, object.dump(2) + "\n");
}

Status quantc::copyCompanions(const fs::path &model, const fs::path &folder) {
  std::error_code ignored;
  for (const char *name : companions)
    if (fs::exists(model / name, ignored)) {
      QUANTC_ASSIGN(const std::string content, readText(model / name));
      QUANTC_TRY(writeFile(folder / name, content));
    }
  return {};
}
