//===- DirectoryFiles.h - what Hugging Face directories have beside their tensors -------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace quantc {

/// "BF16" for bf16, "F8_E4M3" for e4m3: types of containers as safetensors spells them.
std::string safetensorsType(const std::string &word);

/// "bfloat16" for bf16, as PyTorch spells it.
std::string pytorchType(const std::string &format);

/// As the programs of Hugging Face write it.
Status writeJson(const std::filesystem::path &path, const nlohmann::ordered_json &object);

/// Copies the files of tokenizer and generation from a model's directory, as far as they are there.
Status copyCompanions(const std::filesystem::path &model, const std::filesystem::path &folder);

} // namespace quantc
