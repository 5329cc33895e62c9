//===- QFGPU.h - what the dialect has for GPUs ------------------------------------------------------------------===//
#pragma once

#include "quantc/Dialect/QF/QF.h"

#define GET_OP_CLASSES
#include "quantc/Dialect/QF/QFGPUOps.h.inc"

namespace quantc::qf {
/// Lets `qf.contract` be split along its sum.
void attachPartialReduction(mlir::MLIRContext *context);
} // namespace quantc::qf
