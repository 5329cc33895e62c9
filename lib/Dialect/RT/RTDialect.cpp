//===- RTDialect.cpp - the rt dialect: registration and verification --------------------------------------------===//

#include "quantc/Dialect/RT/RT.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "quantc/Dialect/NN/NN.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace quantc::rt;

#include "quantc/Dialect/RT/RTDialect.cpp.inc"
#include "quantc/Dialect/RT/RTEnums.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "quantc/Dialect/RT/RTAttributes.cpp.inc"
#define GET_OP_CLASSES
#include "quantc/Dialect/RT/RTOps.cpp.inc"

void RTDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "quantc/Dialect/RT/RTAttributes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "quantc/Dialect/RT/RTOps.cpp.inc"
      >();
}

LogicalResult BufferOp::verify() {
  // ODS gives these as unsigned numbers.
  if (static_cast<int64_t>(getBytes() | getPerToken() | getPerContext()) < 0)
    return emitOpError("sizes must not be negative");
  if (getBytes() == 0 && getPerToken() == 0 && getPerContext() == 0)
    return emitOpError("has no size");
  if (getPersistent() && getPerToken())
    return emitOpError("persists, so its size cannot depend on the tokens of a step");
  return success();
}

LogicalResult ProgramOp::verifySymbolUses(SymbolTableCollection &symbols) {
  for (DictionaryAttr ports : {getInputs(), getOutputs()})
    for (NamedAttribute port : ports) {
      auto symbol = dyn_cast<FlatSymbolRefAttr>(port.getValue());
      if (!symbol || !symbols.lookupNearestSymbolFrom<BufferOp>(*this, symbol))
        return emitOpError() << "'" << port.getName().getValue() << "' must name an rt.buffer, found "
                             << port.getValue();
    }
  return success();
}

LogicalResult StageOp::verify() {
  if (getCarries().has_value() != getPerToken().has_value())
    return emitOpError("needs both 'carries' and 'per_token', or none");
  if (static_cast<int64_t>(getPerToken().value_or(1)) <= 0)
    return emitOpError("carries nothing of a token");
  return success();
}

LogicalResult StageOp::verifySymbolUses(SymbolTableCollection &symbols) {
  if (!getCarriesAttr())
    return success();
  auto buffer = symbols.lookupNearestSymbolFrom<BufferOp>(*this, getCarriesAttr());
  if (!buffer)
    return emitOpError() << "'carries' must name an rt.buffer, found " << getCarriesAttr();
  if (buffer.getPerToken() < *getPerToken())
    return emitOpError() << "carries " << *getPerToken() << " bytes of a token, @" << *getCarries() << " has "
                         << buffer.getPerToken();
  return success();
}

LogicalResult LaunchOp::verifySymbolUses(SymbolTableCollection &symbols) {
  if (!symbols.lookupNearestSymbolFrom<SymbolOpInterface>(*this, getKernelAttr()))
    return emitOpError() << "no kernel is named " << getKernelAttr();
  for (auto [index, arg] : llvm::enumerate(getArgs())) {
    if (isa<ScalarAttr>(arg))
      continue;
    auto symbol = dyn_cast<FlatSymbolRefAttr>(arg);
    Operation *definition = symbol ? symbols.lookupNearestSymbolFrom(*this, symbol) : nullptr;
    if (!isa_and_nonnull<BufferOp, nn::WeightOp>(definition))
      return emitOpError() << "argument #" << index << " must be a buffer, a weight or #rt.scalar, found " << arg;
  }
  return success();
}
