//===- NNOps.cpp - verification of the nn operations ------------------------------------------------------------===//

#include "quantc/Dialect/NN/Cache.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OpImplementation.h"
#include "quantc/Dialect/QF/Activations.h"
#include "quantc/Format/Format.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace quantc::nn;

#define GET_OP_CLASSES
#include "quantc/Dialect/NN/NNOps.cpp.inc"

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}
static int64_t features(Value value) {
  return typeOf(value).getDimSize(typeOf(value).getRank() - 1);
}

/// An error with what was expected and what was found as notes.
template <typename Expected, typename Actual>
static LogicalResult mismatch(Operation *op, StringRef what, Expected expected, Actual actual) {
  InFlightDiagnostic diagnostic = op->emitOpError() << what;
  diagnostic.attachNote() << "expected: " << expected;
  diagnostic.attachNote() << "  actual: " << actual;
  return diagnostic;
}

/// Weights are named matrices of a size known at compile time, of numbers in a float type or a quantized one.
static LogicalResult verifyMatrix(Operation *op, Value matrix) {
  RankedTensorType type = typeOf(matrix);
  if (!type.hasStaticShape())
    return op->emitOpError() << "weight must have a static shape, found " << type;
  if (!isa<FloatType, quantc::qf::ElemType>(type.getElementType()))
    return op->emitOpError() << "weight must hold floats or !qf.elem, found " << type;
  return success();
}

//===- Weights --------------------------------------------------------------------------------------------------===//

/// What a weight was made of, down to a source or a constant.
static LogicalResult verifyDerived(WeightOp op, Attribute from) {
  auto type = cast<RankedTensorType>(op.getType());
  if (type.getRank() != 1 && type.getRank() != 2)
    return op.emitOpError() << "made of others must be a matrix or a vector, found " << type;
  auto verifyPart = [&](Attribute part) -> LogicalResult {
    if (isDerived(part))
      return verifyDerived(op, part);
    if (!isa<SourceAttr, DenseElementsAttr>(part))
      return op.emitOpError() << "can be made of #nn.source or a dense constant, found " << part;
    return success();
  };
  if (auto scaled = dyn_cast<ScaledAttr>(from))
    return success(succeeded(verifyPart(scaled.getOf())) && succeeded(verifyPart(scaled.getBy())));
  if (auto rotated = dyn_cast<RotatedAttr>(from)) {
    const bool columns = rotated.getSide() == Side::Columns;
    if (!columns && type.getRank() == 1)
      return op.emitOpError("is a vector: it has no rows that could be rotated");
    const int64_t features = columns ? type.getShape().back() : type.getDimSize(0);
    if (rotated.getRun() < 1 || features % rotated.getRun())
      return op.emitOpError() << "rotates runs of " << rotated.getRun() << " features, which do not divide the "
                              << features << " that it has";
    return verifyPart(rotated.getOf());
  }
  auto verifyColumns = [&](ArrayRef<int64_t> columns) -> LogicalResult {
    for (auto [i, column] : llvm::enumerate(columns))
      if (column < 0 || (i && column <= columns[i - 1]))
        return op.emitOpError() << "names columns that do not ascend from 0 on: " << column << " at place " << i;
    return success();
  };
  if (auto chosen = dyn_cast<ChosenAttr>(from)) {
    if (static_cast<int64_t>(chosen.getColumns().size()) != type.getShape().back())
      return mismatch(op, "chooses another number of columns than it has", type.getShape().back(),
                      chosen.getColumns().size());
    return success(succeeded(verifyColumns(chosen.getColumns())) && succeeded(verifyPart(chosen.getOf())));
  }
  auto cleared = cast<ClearedAttr>(from);
  return success(succeeded(verifyColumns(cleared.getColumns())) && succeeded(verifyPart(cleared.getOf())));
}

LogicalResult WeightOp::verify() {
  auto type = cast<RankedTensorType>(getType());
  if (!type.hasStaticShape())
    return emitOpError() << "must have a static shape, found " << type;
  if (auto dense = dyn_cast<ElementsAttr>(getFrom())) {
    // A constant that was quantized since keeps its floats: where it came from.
    auto quantized = isa<quantc::qf::ElemType>(type.getElementType());
    auto constant = quantized ? type.clone(dense.getElementType()) : Type(type);
    if (dense.getShapedType() != constant)
      return mismatch(*this, "constant has another type than the weight", Type(type), Type(dense.getShapedType()));
    if (dense.getNumElements() > maxConstantElements && !dense.isSplat())
      return emitOpError() << "constant of " << dense.getNumElements() << " elements; weights of more than "
                           << maxConstantElements << " are named by #nn.source";
    return success();
  }
  if (auto angles = dyn_cast<AnglesAttr>(getFrom())) {
    int64_t pairs = angles.getFrequencies().size();
    if (angles.getStep() < 1)
      return emitOpError() << "angles need a step of at least 1, found " << angles.getStep();
    if (type.getRank() != 3 || type.getDimSize(1) != 2 || type.getDimSize(2) != pairs || !type.getElementType().isF32())
      return emitOpError() << "angles of " << pairs << " frequencies are a tensor<Rx2x" << pairs << "xf32>, found "
                           << type;
    return success();
  }
  if (isa<ColumnsAttr>(getFrom())) {
    if (type.getRank() != 1 || !type.getElementType().isInteger(32))
      return emitOpError() << "columns are a tensor<Kxi32>, found " << type;
    return success();
  }
  if (isDerived(getFrom()))
    return verifyDerived(*this, getFrom());
  if (!isa<SourceAttr, StatisticAttr>(getFrom()))
    return emitOpError() << "must come from #nn.source, what was made of one, #nn.columns, #nn.angles, #nn.statistic "
                            "or a dense constant, found "
                         << getFrom();
  return success();
}

LogicalResult GetOp::verifySymbolUses(SymbolTableCollection &symbols) {
  auto weight = symbols.lookupNearestSymbolFrom<WeightOp>(*this, getWeightAttr());
  if (!weight)
    return emitOpError() << "no nn.weight is named " << getWeightAttr();
  if (weight.getType() == getType())
    return success();
  InFlightDiagnostic diagnostic = emitOpError() << "has type " << getType() << ", but the weight another";
  diagnostic.attachNote(weight.getLoc()) << "weight " << getWeightAttr() << " has type " << weight.getType();
  return diagnostic;
}

//===- Structure ------------------------------------------------------------------------------------------------===//

LogicalResult StageOp::verify() {
  auto yield = cast<YieldOp>(getBody().front().getTerminator());
  if (yield.getOperandTypes() != getResultTypes())
    return mismatch(*this, "types of the yielded values differ from the results'", getResultTypes(),
                    yield.getOperandTypes());
  return success();
}

//===- Layers ---------------------------------------------------------------------------------------------------===//

LogicalResult EmbeddingOp::verify() {
  if (failed(verifyMatrix(*this, getTable())))
    return failure();
  if (features(getTable()) != features(getY()))
    return mismatch(*this, "features of the result differ from the table's", features(getTable()), features(getY()));
  return success();
}

LogicalResult LinearOp::verify() {
  if (getWeights().empty())
    return emitOpError("needs at least one weight");
  Type input = typeOf(getX()).getElementType();
  if (!isa<quantc::qf::ElemType>(input) && !input.isF32())
    return emitOpError() << "input must hold f32 or !qf.elem, found " << typeOf(getX());
  for (Value weight : getWeights()) {
    if (failed(verifyMatrix(*this, weight)))
      return failure();
    if (features(weight) != getK())
      return mismatch(*this, "input features of the weight differ from those of x", getK(), features(weight));
  }

  size_t count = getWeights().size();
  if (!getBiases().empty() && getBiases().size() != count)
    return mismatch(*this, "has biases, but not one for each weight", count, getBiases().size());
  for (auto [weight, bias] : llvm::zip(getWeights(), getBiases()))
    if (features(bias) != typeOf(weight).getDimSize(0))
      return mismatch(*this, "size of the bias differs from the output features", typeOf(weight).getDimSize(0),
                      features(bias));

  if (getGate() && (count != 2 || typeOf(getWeights()[0]).getShape() != typeOf(getWeights()[1]).getShape()))
    return emitOpError("gate needs two weights of one shape");
  if (getGate() && getResidual())
    return emitOpError("has a gate and a residual; it can have one of them");
  if (getResidual() && count != 1)
    return emitOpError("residual needs exactly one weight");
  size_t results = getGate() ? 1 : count;
  if (getNumResults() != results)
    return mismatch(*this, "wrong number of results", results, getNumResults());
  for (auto [weight, result] : llvm::zip(getWeights(), getResults()))
    if (features(result) != typeOf(weight).getDimSize(0))
      return mismatch(*this, "features of the result differ from the rows of the weight", typeOf(weight).getDimSize(0),
                      features(result));
  if (getResidual() && getResidual().getType() != getResult(0).getType())
    return mismatch(*this, "type of the residual differs from the result's", getResult(0).getType(),
                    getResidual().getType());
  return success();
}

LogicalResult GatherOp::verify() {
  if (features(getColumns()) != features(getY()))
    return mismatch(*this, "has another number of columns than y has features", features(getY()),
                    features(getColumns()));
  if (typeOf(getX()).getDimSize(0) != typeOf(getY()).getDimSize(0))
    return mismatch(*this, "x and y have other numbers of tokens", getX().getType(), getY().getType());
  return success();
}

LogicalResult ScaleOp::verify() {
  if (features(getFactors()) != features(getX()))
    return mismatch(*this, "has another number of factors than x has features", features(getX()),
                    features(getFactors()));
  return success();
}

LogicalResult RmsNormOp::verify() {
  int64_t run = features(getWeight()), all = features(getX());
  if (run <= 0 || all % run)
    return emitOpError() << "weight of " << run << " elements does not divide the " << all << " features of x";
  if (!(getEps().convertToFloat() >= 0))
    return emitOpError() << "eps must not be negative, found " << getEpsAttr();
  return success();
}

LogicalResult RopeOp::verify() {
  int64_t headDim = getHeadDim(), all = features(getX()), pairs = features(getLow());
  if (headDim <= 0 || all % headDim)
    return emitOpError() << "head_dim " << headDim << " does not divide the " << all << " features of x";
  if (typeOf(getLow()).getDimSize(1) != 2 || typeOf(getHigh()).getDimSize(1) != 2 || features(getHigh()) != pairs)
    return mismatch(*this, "tables must be tensor<Rx2xHxf32> with one H", getLow().getType(), getHigh().getType());
  if (2 * pairs > headDim)
    return emitOpError() << "tables have " << pairs << " pairs, more than half of head_dim " << headDim;
  if (!llvm::isPowerOf2_64(typeOf(getLow()).getDimSize(0)))
    return emitOpError() << "low table must have a power of two of rows, found " << typeOf(getLow()).getDimSize(0);
  return success();
}

quantc::qf::BlockType quantc::nn::cacheBlock(RankedTensorType cache) {
  return *quantc::qf::BlockType::of(cast<quantc::qf::ElemType>(cache.getElementType()), keyGroup);
}

int64_t quantc::nn::cacheBytes(RankedTensorType cache) {
  const int64_t heads = cache.getDimSize(0), size = cache.getDimSize(2);
  if (!isa<quantc::qf::ElemType>(cache.getElementType()))
    return heads * size * cache.getElementTypeBitWidth() / 8;
  quantc::qf::BlockType block = cacheBlock(cache);
  return heads * llvm::divideCeil(size, block.getColumns()) * block.getBytes() / keyGroup;
}

int64_t quantc::nn::rowBytes(RankedTensorType type) {
  int64_t count = 1;
  for (int64_t size : type.getShape().drop_front())
    count *= size;
  if (auto elem = dyn_cast<quantc::qf::ElemType>(type.getElementType())) {
    return llvm::divideCeil(count, elem.getFormat()->block()->columns) * quantc::qf::bytesInLines(*elem.getFormat());
  }
  return count * llvm::divideCeil(type.getElementTypeBitWidth(), 8);
}

/// Keys and values are both f16, or both in one format.
static LogicalResult sameElements(Operation *op, Value keys, Value values) {
  Type k = typeOf(keys).getElementType(), v = typeOf(values).getElementType();
  return k == v ? success() : mismatch(op, "has keys and values of different types", k, v);
}

/// A cache has static heads and features, and holds f16 or a format whose blocks are whole bytes for each position.
static LogicalResult verifyCache(Operation *op, Value cache) {
  RankedTensorType type = typeOf(cache);
  if (type.isDynamicDim(0) || type.isDynamicDim(2))
    return op->emitOpError() << "cache must have static heads and head size, found " << type;
  auto elem = dyn_cast<quantc::qf::ElemType>(type.getElementType());
  if (!elem && !type.getElementType().isF16())
    return op->emitOpError() << "cache must hold f16 or !qf.elem, found " << type;
  if (!elem)
    return success();
  quantc::Result<quantc::qf::BlockType> block = quantc::qf::BlockType::of(elem, keyGroup);
  if (!block)
    return op->emitOpError() << "cache: " << block.error().message;
  if (block->getBytes() % keyGroup)
    return op->emitOpError() << "cache: a position of " << elem.getSpec() << " takes no whole bytes";
  return success();
}

LogicalResult KvAppendOp::verify() {
  if (failed(sameElements(*this, getKeys(), getValues())))
    return failure();
  for (auto [source, cache] : {std::pair<Value, Value>(getK(), getKeys()), {getV(), getValues()}}) {
    if (failed(verifyCache(*this, cache)))
      return failure();
    int64_t perToken = typeOf(cache).getDimSize(0) * typeOf(cache).getDimSize(2);
    if (features(source) != perToken)
      return mismatch(*this, "features of a token differ from those of the cache", perToken, features(source));
  }
  return success();
}

/// What nn.attention and nn.attention_parts take.
template <typename Op> static LogicalResult verifyAttention(Op op) {
  if (failed(sameElements(op, op.getKeys(), op.getValues())) || failed(verifyCache(op, op.getKeys())) ||
      failed(verifyCache(op, op.getValues())))
    return failure();
  int64_t keyHeads = typeOf(op.getKeys()).getDimSize(0), headDim = features(op.getKeys());
  if (typeOf(op.getValues()).getDimSize(0) != keyHeads)
    return mismatch(op, "heads of the values differ from those of the keys", keyHeads,
                    typeOf(op.getValues()).getDimSize(0));
  if (keyHeads <= 0 || headDim <= 0 || features(op.getQ()) % (keyHeads * headDim))
    return op.emitOpError() << "features of q (" << features(op.getQ()) << ") are no multiple of " << keyHeads
                            << " key heads of " << headDim;
  if (op.getWindow() && static_cast<int64_t>(*op.getWindow()) < 1)
    return op.emitOpError() << "window must be at least 1, found " << static_cast<int64_t>(*op.getWindow());
  if (op.getSoftcap() && !(op.getSoftcap()->convertToFloat() > 0))
    return op.emitOpError() << "softcap must be positive, found " << op.getSoftcapAttr();
  return success();
}

LogicalResult AttentionOp::verify() {
  if (failed(verifyAttention(*this)))
    return failure();
  int64_t heads = features(getQ()) / features(getKeys());
  if (features(getY()) != heads * features(getValues()))
    return mismatch(*this, "features of the result differ from heads times value size", heads * features(getValues()),
                    features(getY()));
  return success();
}

/// More parts than that have no use, and a block that combines them a thread for each.
static LogicalResult verifyParts(Operation *op, int64_t parts) {
  constexpr int64_t most = 256;
  if (parts < 1 || parts > most)
    return op->emitOpError() << "parts must be 1 to " << most << ", found " << parts;
  return success();
}

LogicalResult AttentionPartsOp::verify() {
  const auto parts = static_cast<int64_t>(getParts());
  if (failed(verifyAttention(*this)) || failed(verifyParts(*this, parts)))
    return failure();
  int64_t size = parts * (features(getQ()) / features(getKeys())) * (features(getValues()) + 2);
  if (features(getState()) != size)
    return mismatch(*this, "features of the result differ from parts times heads times value size and 2", size,
                    features(getState()));
  return success();
}

LogicalResult CombinePartsOp::verify() {
  const auto parts = static_cast<int64_t>(getParts()), heads = static_cast<int64_t>(getHeads());
  if (failed(verifyParts(*this, parts)))
    return failure();
  if (heads < 1 || features(getY()) % heads)
    return emitOpError() << "features of the result (" << features(getY()) << ") are no multiple of " << heads
                         << " heads";
  int64_t size = parts * (features(getY()) + 2 * heads);
  if (features(getState()) != size)
    return mismatch(*this, "features of the parts differ from parts times heads times value size and 2", size,
                    features(getState()));
  return success();
}

LogicalResult ArgMaxOp::verify() {
  if (features(getX()) < 1)
    return emitOpError() << "needs at least one feature, a static number of them, found " << typeOf(getX());
  for (Value result : getResults())
    if (typeOf(result).getDimSize(0) != typeOf(getX()).getDimSize(0))
      return mismatch(*this, "x and the results have other numbers of tokens", getX().getType(), result.getType());
  return success();
}

LogicalResult TopOp::verify() {
  const int64_t count = features(getLogits());
  if (features(getX()) < 1)
    return emitOpError() << "needs at least one feature, a static number of them, found " << typeOf(getX());
  if (count < 1 || count > features(getX()))
    return emitOpError() << "gives 1 to " << features(getX()) << " features of x, found " << typeOf(getLogits());
  if (features(getTokens()) != count)
    return mismatch(*this, "the results have other numbers of features", getTokens().getType(), getLogits().getType());
  for (Value result : getResults())
    if (typeOf(result).getDimSize(0) != typeOf(getX()).getDimSize(0))
      return mismatch(*this, "x and the results have other numbers of tokens", getX().getType(), result.getType());
  return success();
}

//===- Calibration ----------------------------------------------------------------------------------------------===//

LogicalResult ObserveOp::verify() {
  int64_t K = features(getX());
  if (typeOf(getColumns()).getShape() != ArrayRef<int64_t>{3, K})
    return emitOpError() << "columns of " << K << " features must be tensor<3x" << K << "xf32>, found "
                         << typeOf(getColumns());
  if (!getHessian() != !getNewHessian())
    return emitOpError("must have a hessian both as an operand and as a result, or as neither");
  if (!getHessian())
    return success();
  if (typeOf(getHessian()).getShape() != ArrayRef<int64_t>{K, K})
    return emitOpError() << "hessian of " << K << " features must be tensor<" << K << "x" << K << "xf32>, found "
                         << typeOf(getHessian());
  if (getHessian().getType() != getNewHessian().getType())
    return mismatch(*this, "type of the new hessian differs from the hessian's", getHessian().getType(),
                    getNewHessian().getType());
  return success();
}
