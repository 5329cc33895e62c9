//===- NVPTX.cpp - the named pipeline for GPUs --------------------------------------------------------------------===//

#include "quantc/Pipelines/NVPTX.h"
#include "mlir/Conversion/AffineToStandard/AffineToStandard.h"
#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/GPUToNVVM/GPUToNVVMPass.h"
#include "mlir/Conversion/IndexToLLVM/IndexToLLVM.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/NVGPUToNVVM/NVGPUToNVVM.h"
#include "mlir/Conversion/NVVMToLLVM/NVVMToLLVM.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/UBToLLVM/UBToLLVM.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVMPass.h"
#include "mlir/Conversion/VectorToSCF/VectorToSCF.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Transforms/Passes.h"
#include "quantc/CodeGen/NVPTX/Passes.h"
#include "quantc/Pipelines/FirstError.h"
#include "quantc/Pipelines/Pipelines.h"
#include "quantc/Transforms/Passes.h"

using namespace mlir;
using namespace quantc;

static void cleanUp(OpPassManager &manager) {
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
}

/// Layers that are no matrix products are kernels from here on.
static void linalgAndLayers(OpPassManager &manager) {
  manager.addPass(createNNSpecializeTokens());
  manager.addPass(createNNSplitAttention());
  manager.addNestedPass<func::FuncOp>(createNNToLinalg());
  manager.addNestedPass<func::FuncOp>(createQFFloatActivations());
  cleanUp(manager);
  manager.addPass(createQFSplitSums());
  manager.addPass(createNNLayersToGPU());
}

static void vectors(OpPassManager &functions) {
  functions.addPass(createQFVectorizeWarps());
  cleanUp(functions);
  functions.addPass(createLoopInvariantSubsetHoistingPass());
  functions.addPass(createQFForwardTiles());
  cleanUp(functions);
}

static void buffers(OpPassManager &manager) {
  bufferization::OneShotBufferizePassOptions options;
  options.bufferizeFunctionBoundaries = true;
  options.functionBoundaryTypeConversion = bufferization::LayoutMapOption::IdentityLayoutMap;
  manager.addPass(bufferization::createOneShotBufferizePass(options));
  cleanUp(manager);
}

static void lanes(OpPassManager &kernels) {
  kernels.addPass(createQFMapWarps());
  cleanUp(kernels);
  kernels.addPass(createQFToLanes());
  cleanUp(kernels);
  kernels.addPass(createQFPipelineSums());
  kernels.addPass(memref::createFoldMemRefAliasOpsPass());
  cleanUp(kernels);
  kernels.addPass(createLoopInvariantCodeMotionPass());
  kernels.addPass(createQFPlaceShared());
  kernels.addPass(createQFOverlapLaunches());
  cleanUp(kernels);
}

static void llvmDialect(OpPassManager &manager) {
  OpPassManager &first = manager.nest<gpu::GPUModuleOp>();
  first.addPass(createConvertNVGPUToNVVMPass());
  VectorTransferToSCFOptions unrolled;
  unrolled.enableFullUnroll();
  first.addPass(createConvertVectorToSCFPass(unrolled));
  first.addPass(createSCFToControlFlowPass());
  first.addPass(memref::createExpandStridedMetadataPass());
  first.addPass(createLowerAffinePass());
  first.addPass(arith::createArithExpandOpsPass());
  first.addPass(createConvertMathToLLVMPass());
  ConvertGpuOpsToNVVMOpsOptions nvvm;
  nvvm.useBarePtrCallConv = true;
  nvvm.indexBitwidth = 64;
  nvvm.hasRedux = true;
  first.addPass(createConvertGpuOpsToNVVMOps(nvvm));
  first.addPass(createConvertVectorToLLVMPass());
  first.addPass(createConvertNVVMToLLVMPass());
  first.addPass(createConvertIndexToLLVMPass());
  first.addPass(createArithToLLVMConversionPass());
  first.addPass(createUBToLLVMConversionPass());
  cleanUp(first);
  manager.addPass(createConvertControlFlowToLLVMPass());
  OpPassManager &last = manager.nest<gpu::GPUModuleOp>();
  last.addPass(createReconcileUnrealizedCastsPass());
  cleanUp(last);
}

/// The passes that lead to a level from the one before.
static void buildLevel(OpPassManager &manager, GPULevel level, const NVPTXOptions &options) {
  switch (level) {
  case GPULevel::Kernels:
    return;
  case GPULevel::Linalg:
    return linalgAndLayers(manager);
  case GPULevel::Tiled:
    manager.addNestedPass<func::FuncOp>(createQFPadColumns());
    manager.addNestedPass<func::FuncOp>(createQFPadRows());
    manager.addNestedPass<func::FuncOp>(createQFTileBlocks({options.warpGroups}));
    return cleanUp(manager);
  case GPULevel::Vector:
    return vectors(manager.nest<func::FuncOp>());
  case GPULevel::Planes:
    manager.addNestedPass<func::FuncOp>(createQFChoosePlanes());
    return cleanUp(manager);
  case GPULevel::Buffers:
    return buffers(manager);
  case GPULevel::GPU:
    manager.addPass(createQFOutlineGPU());
    return cleanUp(manager);
  case GPULevel::Lanes:
    return lanes(manager.nest<gpu::GPUModuleOp>().nest<gpu::GPUFuncOp>());
  case GPULevel::LLVM:
    return llvmDialect(manager);
  }
}

StringRef quantc::nameOf(GPULevel level) {
  static constexpr llvm::StringLiteral names[] = {"kernels", "linalg", "tiled", "vector", "planes",
                                                  "buffers", "gpu",    "lanes", "llvm"};
  return names[static_cast<size_t>(level)];
}

ArrayRef<GPULevel> quantc::gpuLevels() {
  static constexpr GPULevel levels[] = {GPULevel::Kernels, GPULevel::Linalg, GPULevel::Tiled,
                                        GPULevel::Vector,  GPULevel::Planes, GPULevel::Buffers,
                                        GPULevel::GPU,     GPULevel::Lanes,  GPULevel::LLVM};
  return levels;
}

llvm::cl::ValuesClass quantc::gpuLevelValues() {
  return llvm::cl::values(clEnumValN(GPULevel::Kernels, "kernels", "nn ops on tensors"),
                          clEnumValN(GPULevel::Linalg, "linalg", "linalg and qf on tensors"),
                          clEnumValN(GPULevel::Tiled, "tiled", "loops over blocks, warps and columns"),
                          clEnumValN(GPULevel::Vector, "vector", "accumulators are vectors of a warp"),
                          clEnumValN(GPULevel::Planes, "planes", "weights are planes of words"),
                          clEnumValN(GPULevel::Buffers, "buffers", "memrefs"),
                          clEnumValN(GPULevel::GPU, "gpu", "kernels of a gpu.module"),
                          clEnumValN(GPULevel::Lanes, "lanes", "vectors of a lane, loops pipelined"),
                          clEnumValN(GPULevel::LLVM, "llvm", "the llvm dialect"));
}

static std::vector<GPULevel> levelsOf(const NVPTXOptions &options) {
  std::vector<GPULevel> levels;
  for (int level = static_cast<int>(options.from.getValue()) + 1; level <= static_cast<int>(options.to.getValue());
       level++)
    levels.push_back(static_cast<GPULevel>(level));
  return levels;
}

void quantc::buildNVPTXPipeline(OpPassManager &manager, const NVPTXOptions &options) {
  manager.addPass(createQFSelectGPU({options.target}));
  for (GPULevel level : levelsOf(options))
    buildLevel(manager, level, options);
}

Status quantc::lowerGPUKernels(ModuleOp kernels, const NVPTXOptions &options, const GPULevelObserver &observer) {
  FirstError problem(kernels.getContext());
  PassManager first(kernels.getContext());
  first.addPass(createQFSelectGPU({options.target}));
  if (failed(first.run(kernels)))
    return problem.error("choosing the GPU");
  for (GPULevel level : levelsOf(options)) {
    PassManager manager(kernels.getContext());
    buildLevel(manager, level, options);
    if (failed(manager.run(kernels)))
      return fail("kernels cannot be lowered to level '{}' for {}: {}", nameOf(level).str(),
                  qf::GPUTargetAttr::of(kernels).getName().str(), problem.text());
    if (observer)
      observer(nameOf(level), kernels);
  }
  return {};
}

void quantc::registerNVPTXPasses() {
  registerQuantcNVPTXPasses();
  PassPipelineRegistration<NVPTXOptions>("quant-codegen-nvptx", "from kernels on tensors to the llvm dialect for a GPU",
                                         buildNVPTXPipeline);
}
