//===- Package.h - the last phase: writing the artifact ---------------------------------------------------------===//
#pragma once

#include "GPUCode.h"
#include "mlir/IR/BuiltinOps.h"
#include "quantc/CodeGen/MachineCode.h"
#include "quantc/Driver/Compile.h"
#include "quantc/Target/Target.h"
#include "quantc/Transforms/WeightStore.h"

namespace quantc {

struct CompiledTarget {
  Target target;
  CodeImage image;
};

struct CompiledGPU {
  GPUTarget target;
  GPUCode code;
};

/// What goes into an artifact.
struct PackageInput {
  mlir::ModuleOp weights;    ///< a module that names them
  mlir::ModuleOp processors; ///< buffers, kernels and the program; null: none
  mlir::ModuleOp gpuProgram; ///< the same for GPUs
  const Checkpoint &checkpoint;
  const WeightStore &store;
  const std::vector<CompiledTarget> &targets; ///< the best last
  const std::vector<CompiledGPU> &gpus;       ///< the same
  const CompileOptions &options;
};

/// Writes `options.output`, whole or not at all, and fills in sizes and counts of the report.
Status writePackage(const PackageInput &input, CompileReport &report);

} // namespace quantc
