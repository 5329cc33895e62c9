//===- Pipelines.cpp - all named pipelines ----------------------------------------------------------------------===//

#include "quantc/Pipelines/Pipelines.h"
#include "mlir/Conversion/AffineToStandard/AffineToStandard.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVMPass.h"
#include "mlir/Conversion/VectorToSCF/VectorToSCF.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/Transform/Transforms/Passes.h"
#include "mlir/Transforms/Passes.h"
#include "quantc/CodeGen/KernelPasses.h"
#include "quantc/CodeGen/NVPTX/Passes.h"
#include "quantc/CodeGen/Passes.h"
#include "quantc/CodeGen/TargetAttributes.h"
#include "quantc/Dialect/NN/NN.h"
#include "quantc/Pipelines/FirstError.h"
#include "quantc/Pipelines/NVPTX.h"
#include "quantc/Transforms/Passes.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace quantc;

static void cleanUp(OpPassManager &manager) {
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
}

//===- Weights and graph ----------------------------------------------------------------------------------------===//

void quantc::buildPlanPipeline(OpPassManager &manager, const PlanOptions &options) {
  NNAssignFormatsOptions assign;
  assign.format = options.format;
  assign.policy = options.policy;
  manager.addPass(createNNAssignFormats(assign));
  manager.addPass(createNNCheckFormats());
  if (!options.kv.empty())
    manager.addPass(createNNAssignCacheFormat({options.kv}));
}

Result<MethodNames> quantc::parseMethods(StringRef text) {
  static constexpr StringRef preparing[] = {"rotate", "llm-int8", "awq"},
                             quantizing[] = {"rtn", "imatrix", "gptq", "auto"};
  const SmallVector<StringRef> parts(llvm::split(text, '+'));
  for (StringRef part : parts)
    if (!llvm::is_contained(preparing, part) && !llvm::is_contained(quantizing, part))
      return fail("there is no method '{}'; there are {}, and {} with one of these (awq+gptq)", part.str(),
                  llvm::join(ArrayRef(quantizing), ", "), llvm::join(ArrayRef(preparing), ", "));
  auto has = [&](StringRef name) { return llvm::is_contained(parts, name); };
  MethodNames names{.rotate = has("rotate"), .llmInt8 = has("llm-int8")};
  if (has("awq"))
    names.weights.push_back("awq");
  for (StringRef name : quantizing)
    if (has(name))
      names.weights.push_back(name.str());
  const bool quantizes = !names.weights.empty() && names.weights.back() != "awq";
  if (!quantizes)
    names.weights.push_back("rtn");
  if (parts.size() + !quantizes != names.rotate + names.llmInt8 + names.weights.size() ||
      names.weights.size() > 1 + size_t(has("awq")))
    return fail("method '{}': one method can quantize weights, and each can be used once", text.str());
  return names;
}

MethodNeeds quantc::needsOf(ArrayRef<std::string> methods, bool heldOut) {
  const bool isAuto = llvm::is_contained(methods, "auto");
  return {.statistics = methods != ArrayRef<std::string>("rtn"),
          .quantizedInputs = isAuto || llvm::is_contained(methods, "gptq"),
          .heldOut = isAuto || heldOut};
}

/// The options of a pass that feeds errors back.
template <typename PassOptions> static PassOptions feedback(const MethodOptions &options) {
  PassOptions pass;
  pass.damp = options.damp;
  pass.scales = options.scales;
  pass.grid = options.grid;
  pass.block = options.block;
  pass.plain = options.plain;
  return pass;
}

void quantc::buildMethodPipeline(OpPassManager &manager, ArrayRef<std::string> methods, const MethodOptions &options,
                                 std::unique_ptr<Pass> materialize) {
  for (StringRef method : methods) {
    const bool feedsBack = methods.back() == "gptq";
    if (method == "awq") {
      auto awq = feedback<QFAwqOptions>(options);
      // What clips weights would be no error to feedback any more.
      awq.clip = options.clip && !feedsBack;
      awq.method = feedsBack ? "gptq" : "rtn";
      awq.actOrder = options.actOrder;
      awq.groups = options.groups;
      awq.heldOut = options.heldOut;
      manager.addPass(createQFAwq(awq));
    } else if (options.heldOut && method != "auto" && method != "rtn") {
      auto best = feedback<QFAutoOptions>(options);
      best.candidates = {"rtn", method == "gptq" && options.actOrder ? "gptq:act-order" : method.str()};
      manager.addPass(createQFAuto(best));
    } else if (method == "gptq") {
      auto gptq = feedback<QFGptqOptions>(options);
      gptq.actOrder = options.actOrder;
      gptq.groups = options.groups;
      manager.addPass(createQFGptq(gptq));
    } else if (method == "auto") {
      manager.addPass(createQFAuto(feedback<QFAutoOptions>(options)));
    } else {
      manager.addPass(method == "imatrix" ? createQFImatrix({options.diagonal}) : createQFRtn());
    }
  }
  manager.addPass(std::move(materialize));
}

void quantc::buildMethodPipeline(OpPassManager &manager, ArrayRef<std::string> methods, const MethodOptions &options) {
  QFMaterializeOptions materialize;
  materialize.model = options.model;
  materialize.output = options.output;
  materialize.inputs = options.statistics;
  buildMethodPipeline(manager, methods, options, createQFMaterialize(materialize));
}

void quantc::buildRotatePipeline(OpPassManager &manager, const RotateOptions &options) {
  manager.addPass(createNNFoldNorms());
  NNRotateOptions rotate;
  rotate.seed = options.seed;
  manager.addPass(createNNRotate(rotate));
}

void quantc::buildGraphPipeline(OpPassManager &manager, const GraphOptions &options) {
  // Activations come first: only linears that read the same quantized input can be fused.
  const bool gpu = !options.activations.empty();
  if (gpu || options.precision == Precision::Fast || options.precision == Precision::High)
    manager.addPass(
        createNNQuantizeActivations({options.requireFast, options.precision == Precision::High, options.activations}));
  manager.addPass(createNNFuseProjections({/*gates=*/gpu}));
  manager.addPass(createNNFuseEpilogues());
  if (gpu)
    manager.addPass(createNNChooseTokens());
  manager.addPass(createNNOutlineKernels());
  manager.addPass(createRTPlanBuffers());
}

//===- Code for a CPU -------------------------------------------------------------------------------------------===//

/// A program needs it; kernels that have a target already may get another.
static void selectTarget(OpPassManager &manager, const CodegenOptions &options) {
  if (options.from == Level::Kernels || !options.target.empty())
    manager.addPass(createQFSelectTarget({options.target}));
}

static void toLinalg(OpPassManager &manager, const CodegenOptions &options) {
  OpPassManager &kernels = manager.nest<func::FuncOp>();
  kernels.addPass(createNNLowerRMSNorm());
  kernels.addPass(createNNLowerKVAppend());
  kernels.addPass(createNNLowerAttention());
  kernels.addPass(createNNLowerRope());
  kernels.addPass(createNNLowerEmbedding());
  kernels.addPass(createNNLowerObserve());
  kernels.addPass(createNNToLinalg({options.precision == Precision::Exact}));
}

static void tiled(OpPassManager &manager, const CodegenOptions &options) {
  if (!options.schedule.empty()) {
    transform::PreloadLibraryPassOptions library;
    library.transformLibraryPaths = {options.schedule};
    manager.addPass(transform::createPreloadLibraryPass(library));
    manager.addPass(transform::createInterpreterPass());
    cleanUp(manager);
  }
  QFTileOptions tile;
  tile.tiles.assign(options.tiles.begin(), options.tiles.end());
  manager.addNestedPass<func::FuncOp>(createQFTile(tile));
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
  manager.addNestedPass<func::FuncOp>(arith::createArithExpandOpsPass({.includeBf16 = true}));
  manager.addPass(createSCFToControlFlowPass());
  manager.addPass(createConvertVectorToLLVMPass()); // transfers of one dimension, slices, interleaving
  manager.addPass(createConvertVectorToLLVMPass());
  manager.addPass(createQFToLLVM());
  manager.addPass(createReconcileUnrealizedCastsPass());
  cleanUp(manager);
}

/// The passes that lead to a level from the one before.
static void buildLevel(OpPassManager &manager, Level level, const CodegenOptions &options) {
  switch (level) {
  case Level::Kernels:
    return;
  case Level::Linalg:
    return toLinalg(manager, options);
  case Level::Tiled:
    return tiled(manager, options);
  case Level::Vector:
    return vectors(manager);
  case Level::Blocks:
    return blocks(manager);
  case Level::Buffers:
    return buffers(manager);
  case Level::Range:
    return range(manager);
  case Level::Body:
    return body(manager);
  case Level::LLVM:
    return llvmDialect(manager);
  }
}

ArrayRef<Level> quantc::codegenLevels() {
  static constexpr Level levels[] = {Level::Kernels, Level::Linalg, Level::Tiled, Level::Vector, Level::Blocks,
                                     Level::Buffers, Level::Range,  Level::Body,  Level::LLVM};
  return levels;
}

StringRef quantc::nameOf(Level level) {
  static constexpr llvm::StringLiteral names[] = {"kernels", "linalg", "tiled", "vector", "blocks",
                                                  "buffers", "range",  "body",  "llvm"};
  return names[static_cast<size_t>(level)];
}

static auto levelsOf(const CodegenOptions &options) {
  return llvm::make_filter_range(codegenLevels(), [from = options.from.getValue(), to = options.to.getValue()](
                                                      Level level) { return from < level && level <= to; });
}

void quantc::buildCodegenPipeline(OpPassManager &manager, const CodegenOptions &options) {
  selectTarget(manager, options);
  for (Level level : levelsOf(options))
    buildLevel(manager, level, options);
}

Status quantc::lowerKernels(ModuleOp kernels, const CodegenOptions &options, const LevelObserver &observer) {
  FirstError problem(kernels.getContext());
  PassManager first(kernels.getContext());
  selectTarget(first, options);
  if (failed(first.run(kernels)))
    return problem.error("choosing the target");
  for (Level level : levelsOf(options)) {
    PassManager manager(kernels.getContext());
    buildLevel(manager, level, options);
    if (failed(manager.run(kernels))) {
      auto target = qf::TargetAttr::of(kernels);
      return fail("kernels cannot be lowered to level '{}' for {}: {}", nameOf(level).str(),
                  target ? target.getName().str() : "no target", problem.text());
    }
    if (observer)
      observer(nameOf(level), kernels);
  }
  return {};
}

Status quantc::checkCacheFormat(MLIRContext &context, StringRef spec, const Target &target) {
  QUANTC_ASSIGN(qf::ElemType elem, qf::ElemType::of(&context, spec));
  QUANTC_ASSIGN(qf::BlockType block, qf::BlockType::of(elem, nn::keyGroup));
  // The code itself is tried: what it can do is said nowhere else.
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
  attach(target, *module);
  ImplicitLocOpBuilder b(module->getLoc(), module->getBodyRegion());
  Type columns = VectorType::get({block.getColumns()}, b.getF32Type()), index = b.getIndexType();
  Type bytes = MemRefType::get({1, block.getBytes()}, b.getI8Type());
  auto function = func::FuncOp::create(b, "f", b.getFunctionType({columns, index, bytes}, {}));
  b.setInsertionPointToStart(function.addEntryBlock());
  Value out = function.getArgument(2), zero = arith::ConstantIndexOp::create(b, 0);
  qf::EncodeRowOp::create(b, TypeRange{}, function.getArgument(0), function.getArgument(1), TypeAttr::get(block), out,
                          ValueRange{zero});
  qf::DecodeBlockOp::create(b, VectorType::get({block.getColumns(), block.getRows()}, b.getF32Type()), out,
                            ValueRange{zero}, TypeAttr::get(block));
  func::ReturnOp::create(b);
  FirstError problem(&context);
  PassManager manager(&context);
  manager.addPass(createQFEmitTileDecode());
  manager.addNestedPass<func::FuncOp>(createQFEmitEncode());
  if (failed(manager.run(*module)))
    return fail("the KV cache cannot be {}: {}", spec.str(), problem.text());
  return {};
}

Status quantc::lowerKernels(ModuleOp kernels, const Target &target) {
  attach(target, kernels);
  CodegenOptions options;
  options.from = Level::Linalg;
  return lowerKernels(kernels, options);
}

Result<CodeImage> quantc::compileKernels(ModuleOp kernels, const Target &target) {
  QUANTC_TRY(lowerKernels(kernels, target));
  return emitImage(kernels);
}

//===- Their names ----------------------------------------------------------------------------------------------===//

llvm::cl::ValuesClass quantc::precisionValues() {
  return llvm::cl::values(
      clEnumValN(Precision::Fast, "fast", "int8 activations where the format has integer codes"),
      clEnumValN(Precision::High, "high", "bf16 activations where codes are bf16 numbers, integers too"),
      clEnumValN(Precision::Float, "float", "f32 activations, fused multiply-add"),
      clEnumValN(Precision::Exact, "exact", "f32 activations; multiply, then add, each rounded, K ascending"));
}

llvm::cl::ValuesClass quantc::levelValues() {
  return llvm::cl::values(clEnumValN(Level::Kernels, "kernels", "nn ops on tensors"),
                          clEnumValN(Level::Linalg, "linalg", "linalg and qf on tensors"),
                          clEnumValN(Level::Tiled, "tiled", "loops of register tiles"),
                          clEnumValN(Level::Vector, "vector", "accumulators are vectors"),
                          clEnumValN(Level::Blocks, "blocks", "tensors of blocks"),
                          clEnumValN(Level::Buffers, "buffers", "memrefs"),
                          clEnumValN(Level::Range, "range", "functions of a range of tasks"),
                          clEnumValN(Level::Body, "body", "tiles expanded for their format and target"),
                          clEnumValN(Level::LLVM, "llvm", "the llvm dialect"));
}

static void registerMethod(StringRef name, StringRef what, std::vector<std::string> methods) {
  PassPipelineRegistration<MethodOptions>(name, what, [=](OpPassManager &manager, const MethodOptions &options) {
    buildMethodPipeline(manager, methods, options);
  });
}

void quantc::registerAllPasses() {
  registerQuantcCodeGenPasses();
  registerQuantcKernelsPasses();
  registerQuantcTransformsPasses();
  PassPipelineRegistration<PlanOptions>("quant-plan", "decide the format of each weight", buildPlanPipeline);
  registerMethod("quant-rtn", "quantize weights by rounding to nearest", {"rtn"});
  registerMethod("quant-imatrix", "quantize weights by the mean squares of their inputs", {"imatrix"});
  registerMethod("quant-gptq", "quantize weights with error feedback", {"gptq"});
  registerMethod("quant-auto", "quantize each weight by the method that wins on held-out inputs", {"auto"});
  registerMethod("quant-awq", "scale columns by what quantizes best, then round to nearest", {"awq", "rtn"});
  PassPipelineRegistration<RotateOptions>("quant-rotate", "rotate the residual stream and the heads of a model",
                                          buildRotatePipeline);
  PassPipelineRegistration<GraphOptions>("quant-graph", "fuse, and outline kernels", buildGraphPipeline);
  PassPipelineRegistration<CodegenOptions>("quant-codegen-cpu", "from kernels to the llvm dialect",
                                           buildCodegenPipeline);
  registerNVPTXPasses();
}
