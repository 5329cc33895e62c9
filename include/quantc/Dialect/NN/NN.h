//===- NN.h - the dialect of model graphs -----------------------------------------------------------------------===//
#pragma once

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "quantc/Dialect/NN/NNDialect.h.inc"
#include "quantc/Dialect/NN/NNEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "quantc/Dialect/NN/NNAttributes.h.inc"

#define GET_OP_CLASSES
#include "quantc/Dialect/NN/NNOps.h.inc"

namespace quantc::nn {

/// The attribute (unit) of functions that are kernels.
inline constexpr llvm::StringLiteral kernelAttrName = "rt.kernel";

/// The attribute (a type) of weights that says which element type they shall get.
inline constexpr llvm::StringLiteral formatAttrName = "nn.format";

/// The attribute of weights that says by which method they were quantized.
inline constexpr llvm::StringLiteral methodAttrName = "nn.method";

/// The attribute (f64) of quantized weights: their squared error over their squared size.
inline constexpr llvm::StringLiteral errorAttrName = "nn.error";

/// The attribute of the module that says what the manifest tells about the model.
inline constexpr llvm::StringLiteral modelAttrName = "nn.model";

/// Positions of the KV cache whose keys lie together, so that a vector holds one feature of 16 keys.
inline constexpr int64_t keyGroup = 16;

/// Parts of positions (nn.attention_parts) have multiples of this.
inline constexpr int64_t positionsOfPart = 128;

/// Whether the values of a weight that comes from this are made of others.
inline bool isDerived(mlir::Attribute from) {
  return mlir::isa<ScaledAttr, RotatedAttr, ChosenAttr, ClearedAttr>(from);
}

/// Elements of a `dense` constant that a nn.weight may hold, unless all are the same.
inline constexpr int64_t maxConstantElements = 4096;

} // namespace quantc::nn
