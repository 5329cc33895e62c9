//===- Weights.h - which weights a graph reads, and as what -----------------------------------------------------===//
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "quantc/Dialect/NN/NN.h"

namespace quantc {

/// The weights that are matrices of linears and embeddings, in the order of the module.
llvm::SmallVector<nn::WeightOp> matrices(mlir::ModuleOp module);

/// The name of the weight that a value is, or was made of by qf ops; empty where it is no weight.
llvm::StringRef weightOf(mlir::Value value);

} // namespace quantc
