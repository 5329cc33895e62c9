//===- Verify.h - whether an artifact is what its certificate says ----------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

namespace quantc {

struct VerifyOptions {
  std::filesystem::path artifact;
  std::filesystem::path source;      ///< the model that it was made of; empty: only the file itself is looked at
  std::filesystem::path calibration; ///< what the recipe learned from; empty: bytes of such recipes are not derived
  unsigned threads = 0;
  std::function<void(const std::string &phase, uint64_t done, uint64_t total)> progress;
};

/// What was found to be as the certificate says. Anything that is not is an error of `verifyArtifact`.
struct VerifyReport {
  std::string tool;                    ///< that wrote the artifact
  nlohmann::ordered_json recipe;       ///< as the certificate has it
  uint64_t tensors = 0;                ///< whose bytes have their hashes
  uint64_t sources = 0;                ///< whose content hashes the model has
  uint64_t errors = 0;                 ///< of weights, computed again from what the artifact stores
  uint64_t identical = 0;              ///< tensors that the recipe gave once more, byte for byte
  std::vector<std::string> notChecked; ///< and why
};

/// Derives again what the certificate of an artifact states: hashes of its tensors; with the source, content hashes of
/// source tensors, the error of each weight and, by the recipe, every byte. The artifact's code is never mapped
/// executable. Fails with the first thing that differs.
Result<VerifyReport> verifyArtifact(const VerifyOptions &options);

} // namespace quantc
