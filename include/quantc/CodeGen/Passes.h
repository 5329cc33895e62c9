//===- Passes.h - passes of the code generation, see Passes.td --------------------------------------------------===//
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/Pass.h"
#include "quantc/Dialect/QF/QF.h"
#include <memory>

namespace quantc {
#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "quantc/CodeGen/Passes.h.inc"
} // namespace quantc
