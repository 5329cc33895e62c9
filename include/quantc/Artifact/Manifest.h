//===- Manifest.h - what an artifact holds and how it is run ----------------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace quantc {

/// The version of artifacts that this library writes, and the oldest that it reads. Version 1 does not say what kernels
/// compute and how they were chosen.
constexpr int64_t artifactVersion = 2, oldestArtifactVersion = 1;
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

/// What a kernel has to compute, whatever its code does.
struct KernelWork {
  std::vector<std::string> operations; ///< in their order, epilogues of products last: "linear", "silu", "residual"
  std::string activations;             ///< the format of what weights are multiplied with; empty: there are none
  uint64_t multiplications = 0;        ///< of one token with weights
  uint64_t ofPosition = 0;             ///< of one token with each position of the KV cache that it sees
  uint64_t window = 0;                 ///< positions that a token sees at most; 0: all
};

/// How a kernel was compiled for a target.
struct KernelChoice {
  /// Of each kind of tile: tokens and rows of a task, tokens and rows of a register tile, rows left over.
  std::vector<std::vector<uint64_t>> tiles;
  /// What multiplies, and in register tiles of 16 tokens if that is something else: as LLVM names intrinsics, or "f32".
  std::vector<std::string> instructions, manyTokens;
  std::vector<std::string> reasons; ///< for people
};

/// As manifests, and `inspect --kernels --json`, say it.
nlohmann::ordered_json toJson(const KernelWork &work);
nlohmann::ordered_json toJson(const KernelChoice &choice);

struct KernelEntry {
  std::string name;
  uint64_t calls = 0;                               ///< launches of one step
  std::string why;                                  ///< what decided how it computes, for people
  std::map<std::string, KernelAddress> entry;       ///< by target
  std::optional<KernelWork> work = {};              ///< nothing where the artifact does not say
  std::map<std::string, KernelChoice> choices = {}; ///< by target; nothing where the artifact does not say
};

/// A weight as GPUs read it.
struct FragmentsEntry {
  std::string tensor;
  std::vector<uint64_t> planes; ///< where each begins in the tensor: a kernel takes their addresses
};

struct WeightEntry {
  std::string name;
  std::string tensor;                           ///< as processors read it; empty where only GPUs do
  std::string format;                           ///< specification
  std::vector<int64_t> shape;                   ///< row-major, before storage
  std::string source, hash;                     ///< where it came from
  std::optional<FragmentsEntry> fragments = {}; ///< nothing: GPUs read `tensor`
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

/// What a stage hands to the next: so many bytes of f32 for each token, at the beginning of a buffer.
struct CarryEntry {
  size_t buffer;
  uint64_t perToken;
};

struct StageEntry {
  std::string name;
  std::vector<LaunchEntry> launches;
  /// All that later stages read of this one and of those before, beside what persists; nothing where that is more, or
  /// the artifact does not say. Behind such a stage another machine can go on.
  std::optional<CarryEntry> carries = {};
};

/// Stages [first, last) of a program.
struct StageRange {
  size_t first = 0, last = 0;

  bool empty() const { return first == last; }
  bool contains(size_t stage) const { return first <= stage && stage < last; }
  bool operator==(const StageRange &) const = default;
};

/// Buffers with the most likely token of each row of logits, of several the smallest (i32), and its logit (f32), NaN
/// where one of the row is NaN.
struct ChoiceEntry {
  size_t tokens, largest;
};

/// Buffers with the most likely tokens of each row of logits (i32) and their logits (f32): the largest logit first, of
/// equal ones the smaller token. Rows are as long as the buffers have bytes for a token.
struct TopEntry {
  size_t tokens, logits;
};

/// What a step executes.
struct ProgramEntry {
  std::vector<BufferEntry> buffers = {};
  std::vector<StageEntry> stages = {};
  size_t tokensBuffer = 0;                ///< i32, one for each token of the step
  size_t logitsBuffer = 0;                ///< f32 [rows][vocab]
  std::optional<ChoiceEntry> choice = {}; ///< nothing where it leaves that to the host
  std::optional<TopEntry> top = {};       ///< the same

  StageRange allStages() const { return {0, stages.size()}; }
};

//===- GPUs ----------------------------------------------------------------------------------------------------===//

struct GPUTargetEntry {
  std::string name;
  std::string chip;       ///< that the code is for: "sm_80"; a newer one runs it too, if no letter follows
  std::string ptx;        ///< tensor with the text of all kernels
  std::string cubin = {}; ///< tensor with its machine code; empty: the driver compiles the text
};

/// Blocks along an axis of a grid: `size`, or the value of a parameter divided by `size`, rounded up.
struct GridAxisEntry {
  uint64_t size = 1;
  std::optional<size_t> parameter = {};
};

/// How a kernel is launched for a number of tokens. Several for the same number are launched one after the other.
struct GPUVariant {
  std::string symbol;                    ///< in the code of the target
  uint64_t mostTokens = 0;               ///< that it takes; 0: any number
  uint64_t threads = 0, sharedBytes = 0; ///< of a block; dynamic shared memory
  size_t parameters = 0;                 ///< it takes so many of a launch, from the first on
  std::array<GridAxisEntry, 2> grid = {};
  bool waits = false; ///< for what was launched before, by itself: it may begin while that still runs
};

struct GPUKernelEntry {
  std::string name;
  uint64_t calls = 0;                                      ///< launches of one step
  std::string why;                                         ///< reasons for how it was compiled, for people
  std::map<std::string, std::vector<GPUVariant>> variants; ///< by target; more tokens later, any number last
};

/// What GPUs execute. The arguments of a launch are parameters of the kernel: the address of a buffer or of each plane
/// of a weight, a scalar; `past` is the address of an i64. The last number says for how many tokens, where that
/// decides which variant is launched.
struct GPUProgram : ProgramEntry {
  std::vector<GPUTargetEntry> targets = {}; ///< best last
  std::vector<GPUKernelEntry> kernels = {};

  /// How many parameters a launch passes.
  static size_t parameterCount(const LaunchEntry &launch, const std::vector<WeightEntry> &weights);
};

//===- All of it -----------------------------------------------------------------------------------------------===//

/// The program of an artifact itself is that of processors; without targets there is none.
struct Manifest : ProgramEntry {
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
  std::optional<GPUProgram> gpu = {};
  nlohmann::ordered_json certificate = nullptr; ///< null: none

  /// Bytes of a tensor of the artifact; empty where there is none of that name.
  using TensorBytes = std::function<std::optional<uint64_t>(const std::string &name)>;

  /// Fails with the place on JSON that is not valid, another version, keys that are missing, unknown, twice or of the
  /// wrong type, and numbers out of their range.
  static Result<Manifest> parse(const std::string &text);
  /// The same text for the same manifest. Fails where a name is not UTF-8.
  Result<std::string> serialize() const;
  /// Fails where names are empty or twice, an index names nothing, a kernel lacks an entry for a target, begins outside
  /// its code or cannot be launched, a tensor is missing, sizes of buffers overflow, or no stage, target or kernel is
  /// there.
  Status check(const TensorBytes &tensorBytes) const;
};

} // namespace quantc
