//===- GPULinear.h - one matrix product on a GPU, in the emulator -------------------------------------------------===//
#pragma once

#include "LinearKernel.h"
#include "emulator/Emulator.h"
#include "quantc/CodeGen/NVPTX/PTX.h"
#include <functional>
#include <optional>

namespace quantc::test {

/// y[M][N] = x[M][K] W[N][K]ᵀ (+ bias + residual), W in one format. Without `tokens` one kernel for every M.
struct GPULinearCase {
  std::string spec;
  int64_t N, K;
  std::optional<int64_t> tokens;
  std::string activations = "f16"; ///< f16 or bf16
  std::string result = "f32";      ///< type of y, bias and residual
  bool epilogue = false;           ///< add a bias and a residual
  std::string target = "sm_80";
  bool warpGroups = true; ///< where the target has them
};

/// The kernel of a case as IR on tensors.
std::string gpuLinearText(mlir::MLIRContext &context, const GPULinearCase &linear);

/// A case with its weights, compiled for the emulator.
class GPULinear {
public:
  /// Changes a module of the llvm dialect before it is translated, or the LLVM IR before it is compiled.
  struct Faults {
    std::function<void(mlir::ModuleOp)> lanes; ///< at the level 'lanes'
    std::function<void(llvm::Module &)> code;  ///< the LLVM IR
    std::function<void(std::span<std::byte>)> weights;
  };

  static Result<GPULinear> create(mlir::MLIRContext &context, const GPULinearCase &linear, const Faults &faults = {});

  /// The error of all numbers relative to those of the f64 product, both as roots of means of squares, for M tokens.
  /// Fails where the emulator does, and where something is written behind the last token.
  Result<double> error(int64_t M, uint64_t seed = 1) const;

  const GPUKernel &kernel() const { return info; }

private:
  GPULinear(GPULinearCase linear, emulator::Emulator code) : linear(std::move(linear)), code(std::move(code)) {}
  GPULinearCase linear;
  emulator::Emulator code;
  GPUKernel info;
  std::vector<std::byte> packed;
  std::vector<std::pair<int64_t, int64_t>> planes; ///< offset and bytes of each
  std::vector<float> values;                       ///< reference decode
};

} // namespace quantc::test
