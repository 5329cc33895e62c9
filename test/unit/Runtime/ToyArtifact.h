//===- ToyArtifact.h - artifacts made by hand -------------------------------------------------------------------===//
//
// Writes a `.qm` from a manifest and the image of ToyKernels.c, byte by byte after docs/Architecture.md, without the
// writer under lib/Artifact: the tests of the runtime also test that both read the page alike.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Runtime/Session.h"
#include <filesystem>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace quantc::toy {

constexpr int64_t hidden = 16, vocab = 32, context = 256;

/// Embedding of a token, small whole numbers, different for each.
int64_t embedding(int32_t token, int64_t h);

/// Logits [vocab] after the last of `tokens`, in whole numbers: what the toy model means.
std::vector<int64_t> expectedLogits(std::span<const int32_t> tokens);

/// The manifest of the toy model. Tests change it before writing.
nlohmann::ordered_json manifest();

/// The same with one more kernel, `name`(logits, rows), at the end.
nlohmann::ordered_json manifestWith(const std::string &name);

/// Offset of a function in the code image.
uint64_t offsetOf(const std::string &symbol);

/// Writes the artifact to a new file that lives as long as the test program, and returns its path.
std::filesystem::path write(const nlohmann::ordered_json &manifest);

/// A session on the toy model, or one of its variations. Fails the test where it cannot be had.
std::unique_ptr<Session> session(const SessionOptions &options = {.threads = 1},
                                 const nlohmann::ordered_json &manifest = toy::manifest());

} // namespace quantc::toy
