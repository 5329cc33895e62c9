//===- Imatrix.h - importance matrices of llama.cpp -------------------------------------------------------------===//
//
// For each weight of a model the sum of squares of each input over calibration tokens. Two kinds of files: GGUF (with
// `general.type` "imatrix"), and the older one without a magic number, which llama.cpp calls .dat. Source: llama.cpp,
// tools/imatrix/imatrix.cpp and tools/quantize/quantize.cpp.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace quantc {

/// Of one weight, or of a stack of weights (experts).
struct ImatrixEntry {
  std::string name;          ///< the weight's, as in GGUF files of models
  std::vector<float> sums;   ///< for each matrix K sums of squares
  std::vector<float> counts; ///< for each matrix by what its sums are divided: tokens (old files: calls)
  bool operator==(const ImatrixEntry &) const = default;

  size_t matrices() const { return counts.size(); }
  size_t columns() const { return sums.size() / counts.size(); }
  /// Mean squares of the inputs of one matrix; ones where no token has reached it.
  std::vector<float> importance(size_t matrix = 0) const;
};

struct Imatrix {
  std::vector<ImatrixEntry> entries; ///< by name, ascending
  std::vector<std::string> datasets;
  uint32_t chunks = 0;
  uint32_t chunkTokens = 0; ///< 0: not known (old files)
  bool operator==(const Imatrix &) const = default;

  /// Null where there is none of that name.
  const ImatrixEntry *find(std::string_view name) const;

  /// Reads either kind. Fails where the file breaks a rule of its kind or has sums that are negative, NaN or infinite.
  /// (Old files do not tell matrices apart: each entry has one.)
  static Result<Imatrix> open(const std::filesystem::path &path);
  /// Writes the GGUF kind.
  Status write(const std::filesystem::path &path) const;
  /// Writes the old kind, which keeps calls of `chunkTokens` tokens instead of tokens, and one dataset.
  Status writeOld(const std::filesystem::path &path) const;
};

} // namespace quantc
