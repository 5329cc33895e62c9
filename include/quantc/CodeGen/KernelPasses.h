//===- KernelPasses.h - from the layers of nn that are no matrix products to loops of vectors ------------------===//
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"

namespace quantc {
#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "quantc/CodeGen/KernelPasses.h.inc"
} // namespace quantc
