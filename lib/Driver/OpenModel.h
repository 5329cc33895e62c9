//===- OpenModel.h - a model's files, and the context in which they become IR -----------------------------------===//
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"
#include "quantc/Import/Checkpoint.h"

namespace quantc {

struct OpenedModel {
  std::filesystem::path data;                 ///< the data directory
  std::unique_ptr<mlir::MLIRContext> context; ///< with all dialects and the catalog of formats
  std::shared_ptr<const Checkpoint> checkpoint;

  /// The graph. Fails where tensors are missing, left over, or have other shapes than the configuration says.
  Result<mlir::OwningOpRef<mlir::ModuleOp>> graph() const;
};

/// `formatFiles`: descriptions of formats beyond those of the data directory.
Result<OpenedModel> openModel(const std::filesystem::path &model,
                              const std::vector<std::filesystem::path> &formatFiles);

} // namespace quantc
