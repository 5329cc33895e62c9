//===- Memory.cpp - memory effects and bufferization of qf ------------------------------------------------------===//
//
// Tensors have no effects; buffers are read, and destinations written. Only tiles are bufferized: qf.contract and
// qf.decode have become qf.tile_dot and qf.tile_decode by then, and the x of qf.encode is a vector.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "quantc/Dialect/QF/QF.h"

using namespace mlir;
using namespace mlir::bufferization;
using namespace quantc::qf;

using Effects = SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>>;

static void readBuffers(Operation *op, Effects &effects) {
  for (OpOperand &operand : op->getOpOperands())
    if (isa<MemRefType>(operand.get().getType()))
      effects.emplace_back(MemoryEffects::Read::get(), &operand);
}

void EncodeOp::getEffects(Effects &effects) {
  if (isa<MemRefType>(getOut().getType()))
    effects.emplace_back(MemoryEffects::Write::get(), &getOutMutable());
}
void DecodeOp::getEffects(Effects &) {}
void ContractOp::getEffects(Effects &) {}
void TileDotOp::getEffects(Effects &effects) {
  readBuffers(*this, effects);
}
void TileDecodeOp::getEffects(Effects &effects) {
  readBuffers(*this, effects);
}
void EncodeRowOp::getEffects(Effects &effects) {
  if (isa<MemRefType>(getOut().getType()))
    effects.emplace_back(MemoryEffects::Write::get(), &getOutMutable());
}
void DecodeBlockOp::getEffects(Effects &effects) {
  readBuffers(*this, effects);
}

//===- qf.encode: writes `out` -------------------------------------------------------------------------------===//

bool EncodeOp::bufferizesToMemoryRead(OpOperand &operand, const AnalysisState &) {
  return operand.getOperandNumber() == 0;
}
bool EncodeOp::bufferizesToMemoryWrite(OpOperand &operand, const AnalysisState &) {
  return operand.getOperandNumber() == 1;
}
AliasingValueList EncodeOp::getAliasingValues(OpOperand &operand, const AnalysisState &) {
  if (operand.getOperandNumber() == 1)
    return {{getRes().front(), BufferRelation::Equivalent}};
  return {};
}
LogicalResult EncodeOp::bufferize(RewriterBase &rewriter, const BufferizationOptions &options,
                                  BufferizationState &state) {
  if (!isa<VectorType>(getX().getType()))
    return emitOpError("is bufferized as a vectorized tile only: run qf-vectorize before");
  FailureOr<Value> out = getBuffer(rewriter, getOut(), options, state);
  if (failed(out))
    return failure();
  EncodeOp::create(rewriter, getLoc(), TypeRange{}, getX(), *out);
  replaceOpWithBufferizedValues(rewriter, *this, *out);
  return success();
}

//===- qf.tile_dot, qf.tile_decode: read tiles ---------------------------------------------------------------===//

bool TileDotOp::bufferizesToMemoryRead(OpOperand &, const AnalysisState &) {
  return true;
}
bool TileDotOp::bufferizesToMemoryWrite(OpOperand &, const AnalysisState &) {
  return false;
}
AliasingValueList TileDotOp::getAliasingValues(OpOperand &, const AnalysisState &) {
  return {};
}
LogicalResult TileDotOp::bufferize(RewriterBase &rewriter, const BufferizationOptions &options,
                                   BufferizationState &state) {
  FailureOr<Value> x = getBuffer(rewriter, getX(), options, state), w = getBuffer(rewriter, getW(), options, state);
  if (failed(x) || failed(w))
    return failure();
  rewriter.replaceOpWithNewOp<TileDotOp>(*this, getAcc().getType(), getAcc(), *x, *w, getColumns(), getExact());
  return success();
}

bool TileDecodeOp::bufferizesToMemoryRead(OpOperand &, const AnalysisState &) {
  return true;
}
bool TileDecodeOp::bufferizesToMemoryWrite(OpOperand &, const AnalysisState &) {
  return false;
}
AliasingValueList TileDecodeOp::getAliasingValues(OpOperand &, const AnalysisState &) {
  return {};
}
LogicalResult TileDecodeOp::bufferize(RewriterBase &rewriter, const BufferizationOptions &options,
                                      BufferizationState &state) {
  FailureOr<Value> w = getBuffer(rewriter, getW(), options, state);
  if (failed(w))
    return failure();
  rewriter.replaceOpWithNewOp<TileDecodeOp>(*this, getRes().getType(), *w, getRow());
  return success();
}

//===- qf.encode_row, qf.decode_block ------------------------------------------------------------------------===//

bool EncodeRowOp::bufferizesToMemoryRead(OpOperand &operand, const AnalysisState &) {
  return &operand == &getOutMutable(); // the other rows stay
}
bool EncodeRowOp::bufferizesToMemoryWrite(OpOperand &operand, const AnalysisState &) {
  return &operand == &getOutMutable();
}
AliasingValueList EncodeRowOp::getAliasingValues(OpOperand &operand, const AnalysisState &) {
  if (&operand == &getOutMutable())
    return {{getRes().front(), BufferRelation::Equivalent}};
  return {};
}
LogicalResult EncodeRowOp::bufferize(RewriterBase &rewriter, const BufferizationOptions &options,
                                     BufferizationState &state) {
  FailureOr<Value> out = getBuffer(rewriter, getOut(), options, state);
  if (failed(out))
    return failure();
  EncodeRowOp::create(rewriter, getLoc(), TypeRange{}, getX(), getRow(), getBlockAttr(), *out, getAt());
  replaceOpWithBufferizedValues(rewriter, *this, *out);
  return success();
}

bool DecodeBlockOp::bufferizesToMemoryRead(OpOperand &, const AnalysisState &) {
  return true;
}
bool DecodeBlockOp::bufferizesToMemoryWrite(OpOperand &, const AnalysisState &) {
  return false;
}
AliasingValueList DecodeBlockOp::getAliasingValues(OpOperand &, const AnalysisState &) {
  return {};
}
LogicalResult DecodeBlockOp::bufferize(RewriterBase &rewriter, const BufferizationOptions &options,
                                       BufferizationState &state) {
  FailureOr<Value> bytes = getBuffer(rewriter, getBytes(), options, state);
  if (failed(bytes))
    return failure();
  rewriter.replaceOpWithNewOp<DecodeBlockOp>(*this, getRes().getType(), *bytes, getAt(), getBlockAttr());
  return success();
}
