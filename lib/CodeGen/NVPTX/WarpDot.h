//===- WarpDot.h - the body of a warp's tile ----------------------------------------------------------------------===//
#pragma once

#include "mlir/IR/Builders.h"
#include "quantc/Dialect/QF/QFGPU.h"

namespace quantc {

/// The vector of a lane that holds its part of a vector `[.., m tokens, n rows]` of a warp: `[.., n / 16, m / 8, 2,
/// 2]`, row 16a + 8h + lane / 4, token 8j + 2 (lane % 4) + c.
mlir::VectorType ofLane(mlir::VectorType warp);

/// Emits acc + x wᵀ before `dot`, `acc` being the accumulators of a lane; `listener` is told of each op. Emits an error
/// where the format has no code.
mlir::FailureOr<mlir::Value> emitWarpDot(qf::WarpDotOp dot, mlir::Value acc, mlir::OpBuilder::Listener *listener);

} // namespace quantc
