//===- QFGPU.cpp - a GPU as a target, and the product of a warp ---------------------------------------------------===//

#include "quantc/Dialect/QF/QFGPU.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/TypeUtilities.h"

using namespace mlir;
using namespace mlir::bufferization;
using namespace quantc::qf;

#define GET_OP_CLASSES
#include "quantc/Dialect/QF/QFGPUOps.cpp.inc"

LogicalResult GPUTargetAttr::verify(function_ref<InFlightDiagnostic()> emitError, StringRef, StringRef, unsigned,
                                    int64_t, ArrayRef<int64_t> stream, ArrayRef<int64_t> tiled, unsigned stages) {
  auto positive = [](int64_t size) { return size > 0; };
  if (stream.size() != 2 || !llvm::all_of(stream, positive))
    return emitError() << "'stream' takes two positive numbers: tokens and warps of a block";
  if (tiled.size() != 4 || !llvm::all_of(tiled, positive))
    return emitError() << "'tiled' takes four positive sizes: tokens and rows of a block, tokens and rows of a warp";
  if (stages < 2)
    return emitError() << "'stages' must be at least 2";
  return success();
}

GPUTargetAttr GPUTargetAttr::of(Operation *op) {
  for (; op; op = op->getParentOp())
    if (auto target = op->getAttrOfType<GPUTargetAttr>("qf.gpu"))
      return target;
  return {};
}

LogicalResult WarpDotOp::verify() {
  ArrayRef<int64_t> acc = getAcc().getType().getShape();
  if (acc[1] % 16)
    return emitOpError() << "has " << acc[1] << " rows: a warp takes a multiple of 16";
  if (getW().empty())
    return emitOpError("has no weights");
  const bool isElem = isa<ElemType>(getElementTypeOrSelf(getW().front().getType()));
  for (Value w : getW()) {
    auto type = cast<ShapedType>(w.getType());
    const int64_t rows = type.getDimSize(0);
    if (!ShapedType::isDynamic(rows) && rows * (isElem ? 1 : 16) != acc[1])
      return emitOpError() << "has accumulators of " << acc[1] << " rows, but weights " << type;
  }
  if (isElem && (getW().size() != 1 || getElementTypeOrSelf(getW().front().getType()) != getFormat()))
    return emitOpError() << "takes one weight of " << getFormat();
  return success();
}

void WarpDotOp::getEffects(SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>> &effects) {
  for (OpOperand &operand : getOperation()->getOpOperands())
    if (isa<MemRefType>(operand.get().getType()))
      effects.emplace_back(MemoryEffects::Read::get(), &operand);
}
bool WarpDotOp::bufferizesToMemoryRead(OpOperand &, const AnalysisState &) {
  return true;
}
bool WarpDotOp::bufferizesToMemoryWrite(OpOperand &, const AnalysisState &) {
  return false;
}
AliasingValueList WarpDotOp::getAliasingValues(OpOperand &, const AnalysisState &) {
  return {};
}
LogicalResult WarpDotOp::bufferize(RewriterBase &rewriter, const BufferizationOptions &options,
                                   BufferizationState &state) {
  SmallVector<Value> buffers;
  for (Value tensor : getOperands().drop_front()) {
    FailureOr<Value> buffer = getBuffer(rewriter, tensor, options, state);
    if (failed(buffer))
      return failure();
    buffers.push_back(*buffer);
  }
  rewriter.replaceOpWithNewOp<WarpDotOp>(*this, getAcc().getType(), getAcc(), buffers.front(),
                                         ArrayRef(buffers).drop_front(), getFormatAttr());
  return success();
}
