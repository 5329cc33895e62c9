//===- Tiling.cpp - upstream tiling and fusion of qf ----------------------------------------------------------===//
//
// Everything follows from operandLoops() and loops() of an op: the loop that each dimension of each operand runs over.
//
//===----------------------------------------------------------------------------------------------------------===//

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "quantc/Dialect/QF/QF.h"

using namespace mlir;
using namespace quantc::qf;
using utils::IteratorType;

static constexpr unsigned loopsMK[] = {0, 1};

// out[m, k] = encode(x[m, k]). A tile has whole groups: qf-choose-storage refuses slices that cut a block.
ArrayRef<unsigned> EncodeOp::operandLoops(unsigned) {
  return loopsMK;
}
ArrayRef<IteratorType> EncodeOp::loops() {
  static constexpr IteratorType types[] = {IteratorType::parallel, IteratorType::parallel};
  return types;
}

/// A dimension that each tile has whole.
static constexpr unsigned whole = ~0u;

// out[t, k] = value(w[rows[t], k])
ArrayRef<unsigned> DecodeOp::operandLoops(unsigned i) {
  static constexpr unsigned w[] = {whole, 1}, rows[] = {0};
  return i == 0 ? ArrayRef<unsigned>(w) : i == 1 ? ArrayRef<unsigned>(rows) : ArrayRef<unsigned>(loopsMK);
}
ArrayRef<IteratorType> DecodeOp::loops() {
  return EncodeOp::loops();
}

// out[m, n] += x[m, k] w[n, k]
ArrayRef<unsigned> ContractOp::operandLoops(unsigned i) {
  static constexpr unsigned loops[3][2] = {{0, 2}, {1, 2}, {0, 1}};
  return loops[i];
}
ArrayRef<IteratorType> ContractOp::loops() {
  static constexpr IteratorType types[] = {IteratorType::parallel, IteratorType::parallel, IteratorType::reduction};
  return types;
}

template <typename Op> static SmallVector<Range> iterationDomain(Op op, OpBuilder &b) {
  SmallVector<Range> domain(op.loops().size(), Range{b.getIndexAttr(0), {}, b.getIndexAttr(1)});
  for (OpOperand &operand : op->getOpOperands())
    for (auto [dim, loop] : llvm::enumerate(op.operandLoops(operand.getOperandNumber())))
      if (loop != whole && !domain[loop].size)
        domain[loop].size = tensor::getMixedSize(b, op.getLoc(), operand.get(), dim);
  return domain;
}

template <typename Op>
static FailureOr<TilingResult> tiledImplementation(Op op, OpBuilder &b, ArrayRef<OpFoldResult> offsets,
                                                   ArrayRef<OpFoldResult> sizes) {
  SmallVector<Value> operands;
  SmallVector<Operation *> slices;
  for (OpOperand &operand : op->getOpOperands()) {
    ArrayRef<unsigned> loops = op.operandLoops(operand.getOperandNumber());
    SmallVector<OpFoldResult> sliceOffsets, sliceSizes, strides(loops.size(), b.getIndexAttr(1));
    for (auto [dim, loop] : llvm::enumerate(loops)) {
      sliceOffsets.push_back(loop == whole ? b.getIndexAttr(0) : offsets[loop]);
      sliceSizes.push_back(loop == whole ? tensor::getMixedSize(b, op.getLoc(), operand.get(), dim) : sizes[loop]);
    }
    auto slice = tensor::ExtractSliceOp::create(b, op.getLoc(), operand.get(), sliceOffsets, sliceSizes, strides);
    operands.push_back(slice);
    slices.push_back(slice);
  }
  Operation *tiled = mlir::clone(b, op, operands.back().getType(), operands);
  return TilingResult{{tiled}, SmallVector<Value>(tiled->getResults()), slices};
}

/// The tile of the loops behind a tile of the result; loops that the result does not run over are taken whole.
template <typename Op>
static void domainTile(Op op, OpBuilder &b, ArrayRef<OpFoldResult> resultOffsets, ArrayRef<OpFoldResult> resultSizes,
                       SmallVectorImpl<OpFoldResult> &offsets, SmallVectorImpl<OpFoldResult> &sizes) {
  for (Range range : iterationDomain(op, b)) {
    offsets.push_back(range.offset);
    sizes.push_back(range.size);
  }
  for (auto [dim, loop] : llvm::enumerate(op.operandLoops(op->getNumOperands() - 1))) {
    offsets[loop] = resultOffsets[dim];
    sizes[loop] = resultSizes[dim];
  }
}

// The methods are declared by each op class; their bodies are the templates above.
#define QF_TILING(OP)                                                                                                  \
  SmallVector<IteratorType> OP::getLoopIteratorTypes() {                                                               \
    return llvm::to_vector(loops());                                                                                   \
  }                                                                                                                    \
  SmallVector<Range> OP::getIterationDomain(OpBuilder &b) {                                                            \
    return iterationDomain(*this, b);                                                                                  \
  }                                                                                                                    \
  FailureOr<TilingResult> OP::getTiledImplementation(OpBuilder &b, ArrayRef<OpFoldResult> offsets,                     \
                                                     ArrayRef<OpFoldResult> sizes) {                                   \
    return tiledImplementation(*this, b, offsets, sizes);                                                              \
  }                                                                                                                    \
  LogicalResult OP::getResultTilePosition(OpBuilder &, unsigned, ArrayRef<OpFoldResult> offsets,                       \
                                          ArrayRef<OpFoldResult> sizes, SmallVector<OpFoldResult> &resultOffsets,      \
                                          SmallVector<OpFoldResult> &resultSizes) {                                    \
    for (unsigned loop : operandLoops(getNumOperands() - 1)) {                                                         \
      resultOffsets.push_back(offsets[loop]);                                                                          \
      resultSizes.push_back(sizes[loop]);                                                                              \
    }                                                                                                                  \
    return success();                                                                                                  \
  }                                                                                                                    \
  LogicalResult OP::getIterationDomainTileFromResultTile(                                                              \
      OpBuilder &b, unsigned, ArrayRef<OpFoldResult> resultOffsets, ArrayRef<OpFoldResult> resultSizes,                \
      SmallVectorImpl<OpFoldResult> &offsets, SmallVectorImpl<OpFoldResult> &sizes) {                                  \
    domainTile(*this, b, resultOffsets, resultSizes, offsets, sizes);                                                  \
    return success();                                                                                                  \
  }                                                                                                                    \
  FailureOr<TilingResult> OP::generateResultTileValue(OpBuilder &b, unsigned, ArrayRef<OpFoldResult> resultOffsets,    \
                                                      ArrayRef<OpFoldResult> resultSizes) {                            \
    SmallVector<OpFoldResult> offsets, sizes;                                                                          \
    domainTile(*this, b, resultOffsets, resultSizes, offsets, sizes);                                                  \
    return tiledImplementation(*this, b, offsets, sizes);                                                              \
  }
QF_TILING(EncodeOp)
QF_TILING(DecodeOp)
QF_TILING(ContractOp)
#undef QF_TILING
