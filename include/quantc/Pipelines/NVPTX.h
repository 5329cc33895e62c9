//===- NVPTX.h - the named pipeline for GPUs ----------------------------------------------------------------------===//
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"
#include "quantc/Support/Result.h"
#include "quantc/Target/GPUTarget.h"
#include <functional>
#include <string>

namespace quantc {

/// The levels of code generation for GPUs, from kernels of `nn` ops on tensors to the `llvm` dialect.
enum class GPULevel { Kernels, Linalg, Tiled, Vector, Planes, Buffers, GPU, Lanes, LLVM };
llvm::StringRef nameOf(GPULevel level);
/// All of them, the first included.
llvm::ArrayRef<GPULevel> gpuLevels();
/// Values of the options that take a level.
llvm::cl::ValuesClass gpuLevelValues();

/// `quant-codegen-nvptx`: from kernels of `nn` ops on tensors to the llvm dialect, or a part of that way.
struct NVPTXOptions : mlir::PassPipelineOptions<NVPTXOptions> {
  Option<std::string> target{*this, "target",
                             llvm::cl::desc("name of a GPU's file in targets/ (default: the module's)")};
  Option<bool> warpGroups{*this, "warp-groups", llvm::cl::desc("let groups of four warps multiply together (wgmma)"),
                          llvm::cl::init(true)};
  Option<GPULevel> from{*this, "from", llvm::cl::desc("the level at which the input is"),
                        llvm::cl::init(GPULevel::Kernels), gpuLevelValues()};
  Option<GPULevel> to{*this, "to", llvm::cl::desc("the level at which to stop"), llvm::cl::init(GPULevel::LLVM),
                      gpuLevelValues()};
};
void buildNVPTXPipeline(mlir::OpPassManager &manager, const NVPTXOptions &options);

/// Registers the passes for GPUs and `quant-codegen-nvptx`.
void registerNVPTXPasses();

/// Called after each level with its name and the module.
using GPULevelObserver = std::function<void(llvm::StringRef level, mlir::ModuleOp module)>;

/// Runs `quant-codegen-nvptx` level by level. Fails with the first diagnostic.
Status lowerGPUKernels(mlir::ModuleOp kernels, const NVPTXOptions &options, const GPULevelObserver &observer = {});

} // namespace quantc
