//===- Fragments.h - the planes behind a tensor of quantized numbers --------------------------------------------===//
#pragma once

#include "mlir/IR/Operation.h"
#include "quantc/Dialect/QF/QFGPU.h"
#include "quantc/Format/FragmentStorage.h"

namespace quantc {

/// Lanes of a warp.
constexpr int64_t warpSize = FragmentStorage::lanes;

/// How weights of a format lie; emits an error at `op` where it has no fragments.
mlir::FailureOr<FragmentStorage> fragmentsOf(mlir::Operation *op, qf::ElemType format);

} // namespace quantc
