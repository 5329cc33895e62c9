//===- Pipelines.h - the named pipelines, and what tools register -----------------------------------------------===//
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"
#include "quantc/CodeGen/MachineCode.h"
#include "quantc/CodeGen/Target.h"
#include <functional>

namespace quantc {

/// Adds the dialects of quantc, the upstream dialects that its levels use, and their interfaces.
void registerAllDialects(mlir::DialectRegistry &registry);

/// Registers the passes and pipelines of quantc by name, for tools that take them on the command line.
void registerAllPasses();

/// Called after each level of the code generation with its name ("tiled", "vector", …) and the module.
using LevelObserver = std::function<void(llvm::StringRef level, mlir::ModuleOp module)>;

/// The levels of code generation, from `linalg` + `qf` on tensors (one `func.func` for each kernel, in a module with
/// the attribute `qf.target`) to the `llvm` dialect: name and passes.
struct Level {
  llvm::StringLiteral name;
  void (*build)(mlir::OpPassManager &manager);
};
llvm::ArrayRef<Level> codegenLevels();

/// The passes of all levels: the pipeline `quant-codegen`.
void buildCodegenPipeline(mlir::OpPassManager &manager);

/// Compiles kernels, `linalg` + `qf` on tensors, for a target. `kernels` is rewritten down to the llvm dialect: pass a
/// clone where it is needed again. Fails with the first diagnostic.
Result<CodeImage> compileKernels(mlir::ModuleOp kernels, const Target &target, const LevelObserver &observer = {});

/// The same up to the llvm dialect only.
Status lowerKernels(mlir::ModuleOp kernels, const Target &target, const LevelObserver &observer = {});

} // namespace quantc
