//===- QFOps.cpp - verifiers of the operations of qf ----------------------------------------------------------===//

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/TypeUtilities.h"
#include "quantc/Dialect/QF/QF.h"

using namespace mlir;
using namespace quantc::qf;

#define GET_OP_CLASSES
#include "quantc/Dialect/QF/QFOps.cpp.inc"

/// Numbers in dimension `dim` of a matrix: blocks are counted as the numbers that they hold.
static int64_t extent(ShapedType type, unsigned dim) {
  int64_t size = type.getDimSize(dim);
  auto block = dyn_cast<BlockType>(type.getElementType());
  if (!block || ShapedType::isDynamic(size))
    return size;
  return size * (dim == 0 ? block.getRows() : block.getColumns());
}

/// Checks that two dimensions agree where both are known.
static LogicalResult sameExtent(Operation *op, StringRef what, Value a, unsigned dimA, Value b, unsigned dimB) {
  auto typeA = cast<ShapedType>(a.getType()), typeB = cast<ShapedType>(b.getType());
  int64_t sizeA = extent(typeA, dimA), sizeB = extent(typeB, dimB);
  // A block at an edge is filled up with zeros.
  auto fits = [](int64_t blocks, ShapedType type, unsigned dim, int64_t size) {
    auto block = dyn_cast<BlockType>(type.getElementType());
    return block && blocks >= size && blocks - size < (dim == 0 ? block.getRows() : block.getColumns());
  };
  if (ShapedType::isDynamic(sizeA) || ShapedType::isDynamic(sizeB) || sizeA == sizeB ||
      fits(sizeA, typeA, dimA, sizeB) || fits(sizeB, typeB, dimB, sizeA))
    return success();
  InFlightDiagnostic diag = op->emitOpError() << "operands differ in their " << what;
  diag.attachNote() << typeA << " has " << sizeA;
  diag.attachNote() << typeB << " has " << sizeB;
  return diag;
}

static bool isQuantized(Value v) {
  return isa<ElemType, BlockType>(getElementTypeOrSelf(v.getType()));
}

//===- Weights, ahead of time -----------------------------------------------------------------------------------===//

static ArrayRef<int64_t> shapeOf(Value v) {
  return cast<ShapedType>(v.getType()).getShape();
}

static LogicalResult sameShape(Operation *op, Value w, Value res) {
  if (shapeOf(w) == shapeOf(res))
    return success();
  InFlightDiagnostic diag = op->emitOpError("changes the shape");
  diag.attachNote() << "weight: " << w.getType();
  diag.attachNote() << "result: " << res.getType();
  return diag;
}

/// Statistics of K features are 3 × K or K × K; factors are K.
static LogicalResult checkStatistics(Operation *op, int64_t K, ValueRange statistics, Value scales) {
  for (Value one : statistics)
    if (shapeOf(one)[1] != K || (shapeOf(one)[0] != 3 && shapeOf(one)[0] != K))
      return op->emitOpError() << "statistics of " << K << " features are tensor<3x" << K << "xf32> or tensor<" << K
                               << "x" << K << "xf32>, found " << one.getType();
  if (scales && shapeOf(scales)[0] != K)
    return op->emitOpError() << "needs a factor for each of " << K << " features, found " << scales.getType();
  return success();
}

LogicalResult QuantizeOp::verify() {
  if (failed(sameShape(*this, getW(), getRes())))
    return failure();
  return checkStatistics(*this, shapeOf(getW()).back(), getStatistics(), getInputScales());
}

LogicalResult ScaleOp::verify() {
  if (failed(sameShape(*this, getW(), getRes())))
    return failure();
  if (getColumns() && shapeOf(getW()).size() != 2)
    return emitOpError() << "a vector has no columns, found " << getW().getType();
  int64_t expected = getColumns() ? shapeOf(getW()).back() : shapeOf(getW()).front();
  if (shapeOf(getScales())[0] != expected)
    return emitOpError() << "needs " << expected << " factors, found " << getScales().getType();
  return success();
}

LogicalResult SearchScalesOp::verify() {
  if (getWeights().empty() || getFormats().size() != getWeights().size())
    return emitOpError() << "needs weights, and a format for each: found " << getWeights().size() << " and "
                         << getFormats().size();
  int64_t K = shapeOf(getScales())[0];
  for (auto [weight, format] : llvm::zip(getWeights(), getFormats())) {
    if (shapeOf(weight).size() != 2 || shapeOf(weight)[1] != K)
      return emitOpError() << "weights must have " << K << " columns, found " << weight.getType();
    if (!isa<ElemType>(cast<TypeAttr>(format).getValue()))
      return emitOpError() << "formats must be !qf.elem, found " << format;
  }
  return checkStatistics(*this, K, {getStatistics(), getHessian()}, nullptr);
}

LogicalResult ClipOp::verify() {
  if (failed(sameShape(*this, getW(), getRes())))
    return failure();
  if (shapeOf(getW()).size() != 2 || !isa<ElemType>(getFormat()))
    return emitOpError() << "needs a matrix and a format !qf.elem, found " << getW().getType() << " and "
                         << getFormat();
  return checkStatistics(*this, shapeOf(getW())[1], {getStatistics(), getHessian()}, getInputScales());
}

//===- Activations and products ---------------------------------------------------------------------------------===//

LogicalResult EncodeOp::verify() {
  if (getRes().size() != (isa<MemRefType>(getOut().getType()) ? 0 : 1))
    return emitOpError("has one result for a tensor destination and none for a buffer");
  if (failed(sameExtent(*this, "tokens", getX(), 0, getOut(), 0)))
    return failure();
  return sameExtent(*this, "columns", getX(), 1, getOut(), 1);
}

LogicalResult DecodeOp::verify() {
  if (failed(sameExtent(*this, "tokens", getRows(), 0, getOut(), 0)))
    return failure();
  return sameExtent(*this, "columns", getW(), 1, getOut(), 1);
}

LogicalResult ContractOp::verify() {
  if (getExact() && isQuantized(getX())) {
    InFlightDiagnostic diag = emitOpError("is exact, but its activations are quantized");
    diag.attachNote() << "give f32 activations, or drop 'exact'";
    return diag;
  }
  if (failed(sameExtent(*this, "columns (K)", getX(), 1, getW(), 1)) ||
      failed(sameExtent(*this, "tokens (M)", getX(), 0, getOut(), 0)))
    return failure();
  return sameExtent(*this, "rows (N)", getW(), 0, getOut(), 1);
}

LogicalResult TileDotOp::verify() {
  ArrayRef<int64_t> shape = getAcc().getType().getShape();
  const int64_t columns = getColumns();
  auto x = cast<ShapedType>(getX().getType()), w = cast<ShapedType>(getW().getType());
  auto mismatch = [&](Value operand) -> LogicalResult {
    InFlightDiagnostic diag = emitOpError("tiles do not fit together");
    diag.attachNote() << "accumulators are " << shape[0] << " tokens x " << shape[1] << " rows, the sum has " << columns
                      << " columns";
    diag.attachNote() << "this tile is " << operand.getType();
    return diag;
  };
  auto block = dyn_cast<BlockType>(w.getElementType());
  if (block && w.getDimSize(0) != static_cast<int64_t>(llvm::divideCeil(shape[1], block.getRows())))
    return mismatch(getW());
  if (extent(w, 0) < shape[1] || extent(w, 1) < columns)
    return mismatch(getW());
  if (extent(x, 0) != shape[0] || extent(x, 1) < columns)
    return mismatch(getX());
  return success();
}

LogicalResult TileDecodeOp::verify() {
  VectorType type = getRes().getType();
  if (type.getDimSize(0) == 1 && extent(cast<ShapedType>(getW().getType()), 1) >= type.getDimSize(1))
    return success();
  InFlightDiagnostic diag = emitOpError("takes a part of one row");
  diag.attachNote() << "result: " << type;
  diag.attachNote() << "tile of weights: " << getW().getType();
  return diag;
}

/// Blocks of kernel storage, as many bytes each as the last dimension has, one of them chosen.
static LogicalResult verifyBlockBytes(Operation *op, Type blockType, Value bytes, size_t indices) {
  auto block = cast<BlockType>(blockType);
  auto type = cast<ShapedType>(bytes.getType());
  if (!block.getStorageRows())
    return op->emitOpError() << "takes blocks of kernel storage, such as !qf.block<" << block.getSpec() << ", r16>";
  if (type.getRank() == static_cast<int64_t>(indices) + 1 && type.getShape().back() == block.getBytes())
    return success();
  InFlightDiagnostic diag = op->emitOpError("takes one index for each dimension but the last, which is a block");
  diag.attachNote() << "a block of " << block.getSpec() << " has " << block.getBytes() << " bytes";
  diag.attachNote() << "bytes: " << type << " at " << indices << " indices";
  return diag;
}

LogicalResult EncodeRowOp::verify() {
  if (getRes().size() != (isa<MemRefType>(getOut().getType()) ? 0 : 1))
    return emitOpError("has one result for a tensor destination and none for a buffer");
  if (failed(verifyBlockBytes(*this, getBlock(), getOut(), getAt().size())))
    return failure();
  const int64_t columns = cast<BlockType>(getBlock()).getColumns(), given = getX().getType().getNumElements();
  if (given > columns)
    return emitOpError() << "has " << given << " columns for a block of " << columns;
  return success();
}

LogicalResult DecodeBlockOp::verify() {
  if (failed(verifyBlockBytes(*this, getBlock(), getBytes(), getAt().size())))
    return failure();
  auto block = cast<BlockType>(getBlock());
  if (getRes().getType().getShape() != ArrayRef<int64_t>{block.getColumns(), block.getRows()})
    return emitOpError() << "gives columns x rows of a block, " << block.getColumns() << " x " << block.getRows()
                         << ", found " << getRes().getType();
  return success();
}
