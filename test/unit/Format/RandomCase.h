//===- RandomCase.h - a format that scripts/random-formats has made up ------------------------------------------===//
#pragma once

#include "TestFormats.h"

namespace quantc::test {

/// One case of the folder: a weight in the files of its container, and the values that the script decodes from it.
struct RandomCase {
  std::string name, spec, container;
  int64_t N = 0, K = 0;
  std::vector<std::span<const std::byte>> tensors; ///< of `bytes`
  std::vector<float> values;                       ///< N x K
  Bytes bytes;

  /// The cases of a folder, by name.
  static std::vector<std::filesystem::path> list(const std::filesystem::path &folder);
  /// Reads a case, and adds its format and its container to a catalog as a user would.
  static Result<RandomCase> open(std::filesystem::path path, Catalog &catalog);
};

} // namespace quantc::test
