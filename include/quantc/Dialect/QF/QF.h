//===- QF.h - the dialect of quantized tensors ------------------------------------------------------------------===//
#pragma once

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/LLVMIR/LLVMTypes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Interfaces/TilingInterface.h"
#include "quantc/Support/Result.h"
#include <memory>

namespace quantc {
class Catalog;
class Format;
class KernelStorage;
namespace qf {
class FormatCache;
}
} // namespace quantc

#include "quantc/Dialect/QF/QFDialect.h.inc"
#define GET_ATTRDEF_CLASSES
#include "quantc/Dialect/QF/QFAttributes.h.inc"
#define GET_TYPEDEF_CLASSES
#include "quantc/Dialect/QF/QFTypes.h.inc"
#define GET_OP_CLASSES
#include "quantc/Dialect/QF/QFOps.h.inc"
