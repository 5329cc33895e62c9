//===- Codegen.cpp - the pipeline from tensors to machine code --------------------------------------------------===//

#include "mlir/Conversion/AffineToStandard/AffineToStandard.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVMPass.h"
#include "mlir/Conversion/VectorToSCF/VectorToSCF.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Transforms/Passes.h"
#include "quantc/CodeGen/Passes.h"
#include "quantc/Pipelines/Pipelines.h"

using namespace mlir;
using namespace quantc;

static void cleanUp(OpPassManager &manager) {
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
}

static void tiled(OpPassManager &manager) {
  manager.addNestedPass<func::FuncOp>(createQFTile());
  cleanUp(manager);
}

/// Accumulators become values that loops carry: without that, fused epilogues would go through memory.
static void vectors(OpPassManager &manager) {
  manager.addNestedPass<func::FuncOp>(createQFVectorize());
  cleanUp(manager);
  manager.addNestedPass<func::FuncOp>(createLoopInvariantSubsetHoistingPass());
  cleanUp(manager);
  manager.addNestedPass<func::FuncOp>(createLoopInvariantCodeMotionPass());
}

static void blocks(OpPassManager &manager) {
  manager.addNestedPass<func::FuncOp>(createQFChooseStorage());
  cleanUp(manager);
}

static void buffers(OpPassManager &manager) {
  bufferization::OneShotBufferizePassOptions options;
  options.bufferizeFunctionBoundaries = true;
  options.functionBoundaryTypeConversion = bufferization::LayoutMapOption::IdentityLayoutMap;
  manager.addPass(bufferization::createOneShotBufferizePass(options));
  cleanUp(manager);
  // Equal subviews are one only now: copies of a buffer to itself vanish.
  manager.addPass(createCanonicalizerPass());
  manager.addNestedPass<func::FuncOp>(createQFRefuseAllocations());
}

static void range(OpPassManager &manager) {
  manager.addPass(createQFForallToRange());
  manager.addNestedPass<func::FuncOp>(memref::createFoldMemRefAliasOpsPass());
  cleanUp(manager);
}

static void body(OpPassManager &manager) {
  manager.addPass(createQFEmitTileDot());
  manager.addPass(createQFEmitTileDecode());
  manager.addNestedPass<func::FuncOp>(createQFEmitEncode());
  manager.addNestedPass<func::FuncOp>(createQFExpandMath());
  cleanUp(manager);
}

static void llvmDialect(OpPassManager &manager) {
  manager.addPass(createQFKernelABI());
  manager.addNestedPass<func::FuncOp>(createConvertVectorToSCFPass(VectorTransferToSCFOptions().enableFullUnroll()));
  manager.addPass(memref::createExpandStridedMetadataPass());
  manager.addPass(createLowerAffinePass());
  cleanUp(manager);
  manager.addNestedPass<func::FuncOp>(arith::createArithExpandOpsPass());
  manager.addPass(createSCFToControlFlowPass());
  manager.addPass(createConvertVectorToLLVMPass()); // transfers of one dimension, slices, interleaving
  manager.addPass(createConvertVectorToLLVMPass());
  manager.addPass(createQFToLLVM());
  manager.addPass(createReconcileUnrealizedCastsPass());
  cleanUp(manager);
}

llvm::ArrayRef<Level> quantc::codegenLevels() {
  static constexpr Level levels[] = {{"tiled", tiled}, {"vector", vectors}, {"blocks", blocks},   {"buffers", buffers},
                                     {"range", range}, {"body", body},      {"llvm", llvmDialect}};
  return levels;
}

void quantc::buildCodegenPipeline(OpPassManager &manager) {
  for (const Level &level : codegenLevels())
    level.build(manager);
}

Status quantc::lowerKernels(ModuleOp kernels, const Target &target, const LevelObserver &observer) {
  target.attach(kernels);
  std::string problem;
  ScopedDiagnosticHandler handler(kernels.getContext(), [&](Diagnostic &diagnostic) {
    if (!problem.empty() || diagnostic.getSeverity() != DiagnosticSeverity::Error)
      return;
    problem = diagnostic.str();
    for (Diagnostic &note : diagnostic.getNotes())
      problem += "; " + note.str();
  });
  for (const Level &level : codegenLevels()) {
    PassManager manager(kernels.getContext());
    level.build(manager);
    if (failed(manager.run(kernels)))
      return fail("kernels cannot be lowered to level '{}' for {}: {}", level.name.str(), target.name, problem);
    if (observer)
      observer(level.name, kernels);
  }
  return {};
}

Result<CodeImage> quantc::compileKernels(ModuleOp kernels, const Target &target, const LevelObserver &observer) {
  QUANTC_TRY(lowerKernels(kernels, target, observer));
  return emitImage(kernels);
}
