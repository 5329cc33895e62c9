//===- BuildGraph.h - the graph of a decoder from its parameters ------------------------------------------------===//
#pragma once

#include "quantc/Import/Import.h"

namespace quantc {

/// Builds `@forward` and the weights that it needs; every tensor of the checkpoint has its place afterwards, or it
/// fails.
Result<mlir::OwningOpRef<mlir::ModuleOp>> buildGraph(const Checkpoint &checkpoint, const Architecture &architecture,
                                                     const ModelConfig &config, mlir::MLIRContext &context);

} // namespace quantc
