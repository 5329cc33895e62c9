//===- Target.h - one file of targets/ --------------------------------------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace quantc {

/// What code generation knows of a processor. `#qf.target` says the same inside IR, see CodeGen/TargetAttributes.h.
struct Target {
  /// Multiplies tiles of rows of 64 bytes; names of intrinsics.
  struct MatrixUnit {
    int64_t tokens; ///< of a register tile on it
    std::string zero, load, store;
    std::string bytes, signedBytes, halves; ///< products: of signed x and unsigned or signed weights, of bf16
  };

  std::string name;                  ///< the file's, without ".json"
  std::string triple, cpu;           ///< LLVM's
  std::vector<std::string> features; ///< LLVM's, each with its sign, beyond those of `cpu`
  std::vector<std::string> required; ///< what a processor must have, as Runtime/Cpu.h names it
  std::vector<std::string> dot;      ///< intrinsics of the byte dot product, see #qf.target
  bool dotIsSigned = false;          ///< both sides are signed bytes; else one is unsigned
  std::string words;                 ///< intrinsic of the dot product of pairs of i16, or empty
  std::string permute, shuffle;      ///< intrinsics that look up dwords and bytes, or empty
  std::string halves;                ///< intrinsic of the dot product of bf16 pairs, or empty
  std::string choose;                ///< intrinsic that chooses from 128 bytes by the low bits of indices, or empty
  std::string permuteWords;          ///< intrinsic that looks up i16 in a register, or empty
  std::optional<MatrixUnit> matrix;
  unsigned lanes = 1;         ///< dwords of a vector register
  unsigned rows = 16;         ///< rows of a block of kernel storage
  std::vector<int64_t> tiles; ///< tokens and rows of a task, tokens of a register tile
  int64_t rank = 0;           ///< of two targets that a machine can run, the higher is faster

  /// Reads a target file. Fails with its path where it cannot be read or a key is missing or has a wrong type.
  static Result<Target> load(const std::filesystem::path &file);
  /// The file `directory`/targets/`name`.json; fails with the names that exist where there is none.
  static Result<Target> find(std::string_view name, const std::filesystem::path &directory);
  /// All processors of `directory`/targets, by rank.
  static Result<std::vector<Target>> all(const std::filesystem::path &directory);
};

} // namespace quantc
