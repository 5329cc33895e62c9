//===- Models.h - what a user's MODEL argument may be -----------------------------------------------------------===//
#pragma once

#include "quantc/Runtime/Model.h"
#include "quantc/Tokenizer/Tokenizer.h"

namespace quantc {

enum class InputKind { HuggingFace, Gguf, Artifact };

/// What lies at a path: a directory with config.json, a GGUF file, or an artifact. Fails with what was expected.
Result<InputKind> kindOf(const std::filesystem::path &model);

/// Whether a model of any kind brings a tokenizer.
Result<bool> hasTokenizer(const std::filesystem::path &model);

/// The tokenizer of a model of any kind.
Result<std::unique_ptr<Tokenizer>> loadTokenizer(const std::filesystem::path &model);

} // namespace quantc
