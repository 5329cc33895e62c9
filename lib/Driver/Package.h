//===- Package.h - the last phase: writing the artifact ---------------------------------------------------------===//
#pragma once

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

/// What goes into an artifact.
struct PackageInput {
  mlir::ModuleOp module; ///< weights, buffers, kernels and the program
  const Checkpoint &checkpoint;
  const WeightStore &store;
  const std::vector<CompiledTarget> &targets; ///< the best last
  const CompileOptions &options;
};

/// Writes `options.output`, whole or not at all, and fills in sizes and counts of the report.
Status writePackage(const PackageInput &input, CompileReport &report);

} // namespace quantc
