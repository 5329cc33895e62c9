//===- Pipelines.h - the named pipelines, and what tools register -----------------------------------------------===//
//
// `quant-plan`, `quant-rtn` (and other methods), `quant-graph` and `quant-codegen-cpu` lead from the graph of a model
// to the llvm dialect. Tools take them by name; the driver builds the same ones.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"
#include "quantc/CodeGen/MachineCode.h"
#include "quantc/Pipelines/Precision.h"
#include "quantc/Target/Target.h"
#include <functional>
#include <string>
#include <vector>

namespace quantc {

/// Adds the dialects of quantc, the upstream dialects that its levels use, and their interfaces.
void registerAllDialects(mlir::DialectRegistry &registry);

/// Registers the passes and pipelines of quantc by name, for tools that take them on the command line.
void registerAllPasses();

/// `quant-plan`: which weight gets which format.
struct PlanOptions : mlir::PassPipelineOptions<PlanOptions> {
  Option<std::string> format{*this, "format", llvm::cl::desc("specification of a format, for all weights")};
  Option<std::string> policy{*this, "policy", llvm::cl::desc("name of a policy, or its file")};
  Option<std::string> kv{*this, "kv", llvm::cl::desc("specification of the format of the KV cache (default: f16)")};
};
void buildPlanPipeline(mlir::OpPassManager &manager, const PlanOptions &options);

/// `quant-rtn`, `quant-imatrix`, `quant-gptq`, `quant-auto`, `quant-awq`: weights quantized by a method.
struct MethodOptions : mlir::PassPipelineOptions<MethodOptions> {
  Option<std::string> model{*this, "model", llvm::cl::desc("where weights come from: a directory or a GGUF file")};
  Option<std::string> output{*this, "output", llvm::cl::desc("a safetensors file for the encoded weights")};
  Option<std::string> statistics{*this, "statistics", llvm::cl::desc("a file of statistics (quantc calibrate)")};
  Option<double> damp{*this, "damp", llvm::cl::desc("gptq: part of the mean of the diagonal added to it"),
                      llvm::cl::init(0.01)};
  Option<bool> actOrder{*this, "act-order", llvm::cl::desc("gptq: columns with the largest inputs first")};
  Option<std::string> scales{*this, "scales",
                             llvm::cl::desc("gptq: scales of a group from weights as 'updated', or as "
                                            "they were at the beginning of the 'block'"),
                             llvm::cl::init("updated")};
  Option<std::string> groups{*this, "groups",
                             llvm::cl::desc("gptq with act-order: groups are 'static', those of the file, or "
                                            "'dynamic', those of the order"),
                             llvm::cl::init("static")};
  Option<std::string> grid{*this, "grid",
                           llvm::cl::desc("gptq: scales by squared errors that are 'weighted' (the default) or not "
                                          "('mse'), or by the 'range' of weights (with plain)")};
  Option<int64_t> block{*this, "block", llvm::cl::desc("gptq: columns after which all others are updated"),
                        llvm::cl::init(128)};
  Option<bool> plain{*this, "plain", llvm::cl::desc("gptq: no refit, no weighted searches")};
  Option<bool> heldOut{*this, "held-out",
                       llvm::cl::desc("each weight keeps the method only where that is better on "
                                      "inputs that it has not learned from")};
  Option<bool> diagonal{*this, "diagonal", llvm::cl::desc("imatrix: nothing is known of products of features")};
  Option<bool> clip{*this, "clip", llvm::cl::desc("awq: search for limits of weights too"), llvm::cl::init(true)};
};
struct MethodNames {
  bool rotate = false;              ///< the graph is rotated before formats are assigned (quant-rotate)
  bool llmInt8 = false;             ///< outliers are split off before methods learn (nn-split-outliers)
  std::vector<std::string> weights; ///< passes on weights: `awq` perhaps, then the one that quantizes
};
/// Methods joined by '+', in any order: `rotate`, `llm-int8` and `awq` prepare, one of `rtn` (if none), `imatrix`,
/// `gptq` and `auto` quantizes. Fails on others.
Result<MethodNames> parseMethods(llvm::StringRef text);
/// What methods need to know of the inputs of linears.
struct MethodNeeds {
  bool statistics = false;
  bool quantizedInputs = false; ///< those that the quantized weights before give
  bool hessian = true;          ///< products of features
  bool heldOut = false;         ///< those of other sequences too, to judge by
};
MethodNeeds needsOf(llvm::ArrayRef<std::string> methods, bool heldOut);
/// Passes on weights, as `parseMethods` gives them, then `qf-materialize` by the options.
void buildMethodPipeline(mlir::OpPassManager &manager, llvm::ArrayRef<std::string> methods,
                         const MethodOptions &options);
/// The same with a `qf-materialize` of the caller, who keeps what it encodes.
void buildMethodPipeline(mlir::OpPassManager &manager, llvm::ArrayRef<std::string> methods,
                         const MethodOptions &options, std::unique_ptr<mlir::Pass> materialize);

/// `quant-rotate`: norms folded, then rotations.
struct RotateOptions : mlir::PassPipelineOptions<RotateOptions> {
  Option<uint64_t> seed{*this, "seed", llvm::cl::desc("of the signs"), llvm::cl::init(0)};
};
void buildRotatePipeline(mlir::OpPassManager &manager, const RotateOptions &options);

/// Values of the options that take a precision.
llvm::cl::ValuesClass precisionValues();

/// `quant-graph`: from the graph to a program of launches and its kernels.
struct GraphOptions : mlir::PassPipelineOptions<GraphOptions> {
  Option<Precision> precision{*this, "precision", llvm::cl::desc("of the sums"), llvm::cl::init(Precision::Fast),
                              precisionValues()};
  Option<bool> requireFast{*this, "require-fast", llvm::cl::desc("fail where an input stays f32")};
  Option<std::string> activations{*this, "activations",
                                  llvm::cl::desc("for a GPU: the float format of what its matrix products read")};
};
void buildGraphPipeline(mlir::OpPassManager &manager, const GraphOptions &options);

/// The levels of code generation, from kernels of `nn` ops on tensors to the `llvm` dialect.
enum class Level { Kernels, Linalg, Tiled, Vector, Blocks, Buffers, Range, Body, LLVM };
llvm::StringRef nameOf(Level level);
/// All of them, the first included.
llvm::ArrayRef<Level> codegenLevels();
/// Values of the options that take a level.
llvm::cl::ValuesClass levelValues();

/// `quant-codegen-cpu`: from kernels to the llvm dialect, or a part of that way.
struct CodegenOptions : mlir::PassPipelineOptions<CodegenOptions> {
  Option<std::string> target{*this, "target", llvm::cl::desc("name of a file in targets/ (default: the module's)")};
  Option<Precision> precision{*this, "precision", llvm::cl::desc("of the sums"), llvm::cl::init(Precision::Fast),
                              precisionValues()};
  ListOption<int64_t> tiles{*this, "tiles",
                            llvm::cl::desc("tokens and rows of a task, tokens of a register tile (default: target's)")};
  Option<std::string> schedule{*this, "schedule",
                               llvm::cl::desc("a file with a transform sequence @__transform_main that tiles kernels, "
                                              "or sets the 'qf.tiles' of what is tiled then")};
  Option<Level> from{*this, "from", llvm::cl::desc("the level at which the input is"), llvm::cl::init(Level::Kernels),
                     levelValues()};
  Option<Level> to{*this, "to", llvm::cl::desc("the level at which to stop"), llvm::cl::init(Level::LLVM),
                   levelValues()};
};
void buildCodegenPipeline(mlir::OpPassManager &manager, const CodegenOptions &options);

/// Called after each level with its name and the module.
using LevelObserver = std::function<void(llvm::StringRef level, mlir::ModuleOp module)>;

/// Runs `quant-codegen-cpu` level by level. Fails with the first diagnostic.
Status lowerKernels(mlir::ModuleOp kernels, const CodegenOptions &options, const LevelObserver &observer = {});

/// Whether there is code that encodes and decodes a format at run time, as a KV cache needs it. Fails with the reason.
Status checkCacheFormat(mlir::MLIRContext &context, llvm::StringRef spec, const Target &target);

/// Lowers kernels of the level `linalg` for a target down to the llvm dialect.
Status lowerKernels(mlir::ModuleOp kernels, const Target &target);

/// Lowers kernels of the level `linalg` for a target, and compiles them: pass a clone where they are needed again.
Result<CodeImage> compileKernels(mlir::ModuleOp kernels, const Target &target);

} // namespace quantc
