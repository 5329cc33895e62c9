//===- Derive.h - weights that become what is made of them ------------------------------------------------------===//
#pragma once

#include "quantc/Dialect/NN/NN.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace quantc {

/// The weight that an operand reads by an nn.get. Where something else reads it too, the operand first gets one of its
/// own: `output`, where it is the head of a model whose embedding it shares, else `NAME.2` and so on. Null where the
/// operand is no nn.get.
nn::WeightOp ownWeight(mlir::OpOperand &operand, mlir::SymbolTable &symbols);

/// `weight` now comes from what `make` says of where it came from, and is f32.
void derive(nn::WeightOp weight, llvm::function_ref<mlir::Attribute(mlir::Attribute from)> make);

/// Whether a weight that comes from this has nothing but ones.
bool isOnes(mlir::Attribute from);

} // namespace quantc
