//===- DeviceMath.h - functions as instructions of a GPU ----------------------------------------------------------===//
#pragma once

#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace quantc {

/// Of f32, or of each element of a vector of f32. No library of CUDA is needed.
/// exp: by `ex2.approx`, which is good to 2 units in the last place of 2^y; y = x · log2(e) is rounded before.
mlir::Value emitExp(mlir::ImplicitLocOpBuilder &b, mlir::Value x);
/// tanh(x) = 1 - 2 / (exp(2x) + 1).
mlir::Value emitTanh(mlir::ImplicitLocOpBuilder &b, mlir::Value x);
/// The root, rounded to nearest.
mlir::Value emitSqrt(mlir::ImplicitLocOpBuilder &b, mlir::Value x);

/// The function that an operation of the dialect `math` asks for; null: it is none of these.
mlir::Value emitMath(mlir::ImplicitLocOpBuilder &b, mlir::Operation *op, mlir::ValueRange operands);

} // namespace quantc
