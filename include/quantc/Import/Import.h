//===- Import.h - a model's files to a module of the nn dialect -------------------------------------------------===//
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "quantc/Import/Checkpoint.h"
#include "quantc/Import/ModelConfig.h"

namespace quantc {

/// The graph of a model: weights are named, not read. `context` needs the dialects nn, qf, func, tensor; the catalog of
/// qf must hold the formats of the checkpoint. Fails where tensors are missing, left over or of another shape than the
/// configuration says, with the names that the file uses.
Result<mlir::OwningOpRef<mlir::ModuleOp>> importModel(const Checkpoint &checkpoint, const Architectures &architectures,
                                                      mlir::MLIRContext &context);

/// The same from a path, with the descriptions beside the program.
Result<mlir::OwningOpRef<mlir::ModuleOp>> importModel(const std::filesystem::path &model, mlir::MLIRContext &context);

} // namespace quantc
