//===- Manifest.h - what an artifact holds and how it is run ----------------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace quantc {

/// The version of artifacts that this library reads and writes.
constexpr int64_t artifactVersion = 1;
/// In a file, code begins at a multiple of the first and every other tensor at a multiple of the second.
constexpr uint64_t artifactCodeAlignment = 4096, artifactTensorAlignment = 64;

struct TargetEntry {
  std::string name;
  std::string code;                  ///< tensor with the image
  std::vector<std::string> features; ///< that the processor must have, as LLVM names them
};

/// Where a kernel's two functions begin in the image of a target.
struct KernelAddress {
  uint64_t run, tasks;
};

struct KernelEntry {
  std::string name;
  uint64_t calls = 0;                         ///< launches of one step
  std::string why;                            ///< reasons for how it was compiled, for people
  std::map<std::string, KernelAddress> entry; ///< by target
};

struct WeightEntry {
  std::string name;
  std::string tensor;         ///< in kernel storage
  std::string format;         ///< specification
  std::vector<int64_t> shape; ///< row-major, before storage
  std::string source, hash;   ///< where it came from
};

/// bytes + perToken · tokens + perContext · context bytes.
struct BufferEntry {
  std::string name;
  uint64_t bytes = 0, perToken = 0, perContext = 0;
  bool persistent = false; ///< lives as long as a session
};

/// Numbers that the runtime passes to kernels.
enum class Scalar { Tokens, Past, Context, Rows };
enum class ArgKind { Buffer, Weight, Scalar };

struct ArgEntry {
  ArgKind kind;
  size_t index = 0;               ///< of the buffer or weight
  uint64_t row = 0;               ///< bytes of a token or of a row of logits in the buffer, by this launch; 0: no rows
  Scalar scalar = Scalar::Tokens; ///< of kind Scalar
};

struct LaunchEntry {
  size_t kernel;
  std::vector<ArgEntry> args;
};

struct StageEntry {
  std::string name;
  std::vector<LaunchEntry> launches;
};

struct Manifest {
  std::string tool; ///< that wrote the artifact
  std::string architecture;
  int64_t context = 0; ///< positions that the model was compiled for
  int64_t vocab = 0, hidden = 0, layers = 0;
  std::optional<int32_t> bos = {};
  std::vector<int32_t> eos = {};                                     ///< tokens that end a text
  nlohmann::ordered_json details = nlohmann::ordered_json::object(); ///< what else `model` says, for people
  std::vector<TargetEntry> targets = {};                             ///< best last
  std::vector<KernelEntry> kernels = {};
  std::vector<WeightEntry> weights = {};
  std::vector<BufferEntry> buffers = {};
  std::vector<StageEntry> stages = {};
  size_t tokensBuffer = 0;                      ///< i32, one for each token of the step
  size_t logitsBuffer = 0;                      ///< f32 [rows][vocab]
  nlohmann::ordered_json certificate = nullptr; ///< null: none

  /// Bytes of a tensor of the artifact; empty where there is none of that name.
  using TensorBytes = std::function<std::optional<uint64_t>(const std::string &name)>;

  /// Fails with the place on JSON that is not valid, another version, keys that are missing, unknown, twice or of the
  /// wrong type, and numbers out of their range.
  static Result<Manifest> parse(const std::string &text);
  /// The same text for the same manifest. Fails where a name is not UTF-8.
  Result<std::string> serialize() const;
  /// Fails where names are empty or twice, an index names nothing, a kernel lacks an entry for a target or begins
  /// outside its code, a tensor is missing, sizes of buffers overflow, or no stage, target or kernel is there.
  Status check(const TensorBytes &tensorBytes) const;
};

} // namespace quantc
