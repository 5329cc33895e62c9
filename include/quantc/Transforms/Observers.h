//===- Observers.h - which linears share an input ----------------------------------------------------------------===//
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringMap.h"
#include <string>

namespace quantc {

/// The states of an observer, and the statistics that methods read, are called by one of these and the observer's
/// name: the first weight that reads the input.
inline constexpr llvm::StringLiteral columnsPrefix = "columns.", hessianPrefix = "hessian.";
/// The same for the mean of x xᵀ over sequences that no method learns from.
inline constexpr llvm::StringLiteral heldOutPrefix = "heldout.";

/// For each weight of a linear the name of the observer of its input.
llvm::StringMap<std::string> observersOf(mlir::ModuleOp graph);

} // namespace quantc
