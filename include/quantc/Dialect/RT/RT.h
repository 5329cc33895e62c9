//===- RT.h - the dialect of run-time programs ------------------------------------------------------------------===//
#pragma once

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/SymbolTable.h"

#include "quantc/Dialect/RT/RTDialect.h.inc"
#include "quantc/Dialect/RT/RTEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "quantc/Dialect/RT/RTAttributes.h.inc"

#define GET_OP_CLASSES
#include "quantc/Dialect/RT/RTOps.h.inc"
