//===- Kernel.h - one kernel by itself ----------------------------------------------------------------------------===//
#pragma once

#include "quantc/Support/Result.h"
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace quantc {

/// y[m][n] = x[m][k] w[n][k]ᵀ (+ bias + residual), w in one format.
struct KernelOptions {
  std::string format;                             ///< "name" or "name:parameter:…"
  int64_t n = 0, k = 0;                           ///< rows and columns of the weight
  std::optional<int64_t> m;                       ///< tokens; nothing: a kernel for any number
  std::string target;                             ///< a file in targets/
  std::string emit;                               ///< see `emitsOf`
  std::string level = "llvm";                     ///< of `mlir`
  std::string activations = "f16";                ///< GPUs: f16 or bf16, the type of x, bias, residual and y
  bool bias = false, residual = false;            ///< GPUs: add a vector, a matrix
  bool noWarpGroups = false;                      ///< GPUs: warps multiply for themselves (mma.sync)
  std::filesystem::path weights;                  ///< of `weights`, `decoded`: n × k f32, row-major, little-endian
  std::vector<std::filesystem::path> formatFiles; ///< descriptions beyond those beside the program
};

struct KernelCode {
  std::string bytes;                  ///< what was asked for
  nlohmann::ordered_json description; ///< how to launch it: grid, shared memory, parameters, layouts
};

/// What can be emitted for GPUs and for processors.
const std::vector<std::string> &kernelOutputs(bool gpu);

/// Compiles one kernel, or packs the weights for it, by rounding to nearest, or gives them as they are then: f32,
/// row-major. Fails where the target has no such output, or a shape or format does not fit.
Result<KernelCode> compileKernel(const KernelOptions &options);

} // namespace quantc
