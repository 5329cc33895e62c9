//===- GPUTarget.h - one file of targets/ for a GPU -------------------------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace quantc {

/// How groups of four warps multiply by one instruction (`wgmma`): tokens and rows of a block, tiles along the sum that
/// are on their way.
struct WarpGroups {
  int64_t tokens, rows, stages;
};

/// What code generation knows of a GPU. `#qf.gpu` says the same inside IR, see CodeGen/TargetAttributes.h.
struct GPUTarget {
  std::string name;                   ///< the file's, without ".json"
  std::string chip;                   ///< LLVM's CPU
  unsigned ptx = 0;                   ///< version of PTX times ten
  int64_t multiprocessors = 0;        ///< of the largest such GPU
  int64_t sharedBytes = 0;            ///< of shared memory that a block can have
  std::vector<int64_t> stream, tiled; ///< see #qf.gpu
  unsigned stages = 2;
  std::optional<WarpGroups> warpGroups; ///< none where there is no such instruction
  bool dependentLaunch = false;         ///< kernels can begin before those that they wait for have ended
  std::string activations;              ///< the format of floats that matrix products read
  int64_t rank = 0;                     ///< order among targets

  /// Reads a target file. Fails with its path where it cannot be read or a key is missing or has a wrong type.
  static Result<GPUTarget> load(const std::filesystem::path &file);
  /// The file `directory`/targets/`name`.json; fails with the names that exist where there is none.
  static Result<GPUTarget> find(std::string_view name, const std::filesystem::path &directory);
  /// All GPUs of `directory`/targets, by rank.
  static Result<std::vector<GPUTarget>> all(const std::filesystem::path &directory);
};

/// Whether `file` of targets/ describes a GPU.
bool describesGPU(const std::filesystem::path &file);

} // namespace quantc
