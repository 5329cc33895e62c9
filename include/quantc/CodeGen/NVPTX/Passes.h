//===- Passes.h - passes of the code generation for GPUs, see Passes.td -----------------------------------------===//
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Pass/Pass.h"
#include "quantc/Dialect/QF/QFGPU.h"

namespace quantc {
#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "quantc/CodeGen/NVPTX/Passes.h.inc"
} // namespace quantc
