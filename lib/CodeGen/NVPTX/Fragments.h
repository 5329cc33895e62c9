//===- Fragments.h - the planes behind a tensor of quantized numbers --------------------------------------------===//
#pragma once

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Operation.h"
#include "quantc/Dialect/QF/QFGPU.h"
#include "quantc/Format/FragmentStorage.h"

namespace quantc {

/// Lanes of a warp.
constexpr int64_t warpSize = FragmentStorage::lanes;

/// How weights of a format lie; emits an error at `op` where it has no fragments.
mlir::FailureOr<FragmentStorage> fragmentsOf(mlir::Operation *op, qf::ElemType format);

/// The array that a plane of a weight is whose columns fill units: rows of units, units of a row, words of a unit.
mlir::MemRefType planeType(mlir::Type weight, const FragmentPlane &plane);

} // namespace quantc
