//===- HeadRows.cpp - the features of one head of one token as a vector ----------------------------------------===//

#include "HeadRows.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "quantc/Dialect/QF/QF.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;
using namespace quantc;

static int64_t features(Value value) {
  return cast<RankedTensorType>(value.getType()).getShape().back();
}

/// Whether a dimension may be dynamic: tokens, or positions of the cache.
static bool mayBeDynamic(RankedTensorType type, int64_t dimension) {
  if (type.getRank() == 3)
    return (type.getElementType().isF16() || isa<qf::ElemType>(type.getElementType())) && dimension == 1;
  return dimension == 0 && (type.getRank() == 2 || type.getElementType().isInteger());
}

static LogicalResult checkLayer(Operation *op) {
  auto tooLarge = [&](int64_t headDim) {
    return op->emitOpError() << "has heads of " << headDim << " features; at most " << maxHeadDim << " are supported";
  };
  for (Type any : llvm::concat<const Type>(op->getOperandTypes(), op->getResultTypes())) {
    auto type = dyn_cast<RankedTensorType>(any);
    for (int64_t i = 0; type && i < type.getRank(); ++i)
      if (type.isDynamicDim(i) && !mayBeDynamic(type, i))
        return op->emitOpError() << "needs static sizes except for tokens and positions, found " << type;
    if (type && type.getRank() == 3 && type.getDimSize(2) > maxHeadDim)
      return tooLarge(type.getDimSize(2));
  }
  auto rope = dyn_cast<nn::RopeOp>(op);
  return rope && rope.getHeadDim() > maxHeadDim ? tooLarge(rope.getHeadDim()) : success();
}

LogicalResult quantc::checkLayers(func::FuncOp kernel) {
  for (Operation &op : kernel.getOps())
    if (isa<nn::RmsNormOp, nn::RopeOp, nn::KvAppendOp, nn::AttentionOp, nn::EmbeddingOp, nn::LastOp, nn::ObserveOp>(
            op) &&
        failed(checkLayer(&op)))
      return failure();
  return success();
}

/// The size of the heads that an op works on; 0 if it does not work on heads.
static int64_t headDimOf(Operation *op) {
  if (auto rope = dyn_cast<nn::RopeOp>(op))
    return rope.getHeadDim();
  if (auto norm = dyn_cast<nn::RmsNormOp>(op))
    return features(norm.getWeight());
  return 0;
}

bool quantc::isPartOfUsers(Operation *op) {
  Value result = op->getResult(0);
  return !op->use_empty() && llvm::all_of(op->getUsers(), [&](Operation *user) {
    if (auto rope = dyn_cast<nn::RopeOp>(user))
      return headDimOf(rope) == headDimOf(op);
    if (auto attention = dyn_cast<nn::AttentionOp>(user))
      return features(attention.getKeys()) == headDimOf(op);
    auto append = dyn_cast<nn::KvAppendOp>(user);
    return append && append.getK() == result && append.getV() != result && features(append.getKeys()) == headDimOf(op);
  });
}

Value quantc::emitNormFactor(VectorBuilder &b, Value squares, int64_t count, double eps) {
  Value mean = b.div(b.sumOf(squares), b.f32(static_cast<double>(count)));
  return b.div(b.f32(1), math::SqrtOp::create(b, b.add(mean, b.f32(eps))));
}

HeadRows::HeadRows(Value value, int64_t headDim) : headDim(headDim), source(value) {
  for (Operation *op; (op = source.getDefiningOp()) && headDimOf(op) == headDim; source = op->getOperand(0))
    chain.push_back(op);
}

void HeadRows::enterToken(VectorBuilder &b, Value newToken) {
  token = newToken;
  angles.clear();
  for (Operation *op : chain)
    if (auto rope = dyn_cast<nn::RopeOp>(op))
      angles.push_back(emitAngles(b, rope));
}

/// The tables hold angles of positions p mod R and of R · (p div R); cosine and sine of their sum.
HeadRows::Angles HeadRows::emitAngles(VectorBuilder &b, nn::RopeOp rope) const {
  int64_t pairs = features(rope.getLow()), period = cast<RankedTensorType>(rope.getLow().getType()).getDimSize(0);
  Value position = b.addIndex(rope.getPast(), token);
  Value high = b.divIndex(position, period), low = b.subIndex(position, b.mulIndex(high, period));
  auto load = [&](Value table, Value row) -> Angles {
    return {b.load(table, {row, b.index(0), b.index(0)}, pairs), b.load(table, {row, b.index(1), b.index(0)}, pairs)};
  };
  Angles l = load(rope.getLow(), low), h = load(rope.getHigh(), high);
  return {b.sub(b.mul(l.cosines, h.cosines), b.mul(l.sines, h.sines)),
          b.add(b.mul(l.sines, h.cosines), b.mul(l.cosines, h.sines))};
}

Value HeadRows::rotate(VectorBuilder &b, nn::RopeStyle style, Value row, Angles angles) {
  int64_t pairs = cast<VectorType>(angles.cosines.getType()).getNumElements();
  int64_t rest = cast<VectorType>(row.getType()).getNumElements() - 2 * pairs;
  Value first, second;
  if (style == nn::RopeStyle::Half) {
    first = b.slice(row, 0, pairs);
    second = b.slice(row, pairs, pairs);
  } else {
    auto split = vector::DeinterleaveOp::create(b, b.slice(row, 0, 2 * pairs));
    first = split.getRes1();
    second = split.getRes2();
  }
  Value newFirst = b.sub(b.mul(first, angles.cosines), b.mul(second, angles.sines));
  Value newSecond = b.add(b.mul(second, angles.cosines), b.mul(first, angles.sines));
  SmallVector<Value> parts{newFirst, newSecond};
  if (style == nn::RopeStyle::Adjacent)
    parts = {vector::InterleaveOp::create(b, newFirst, newSecond)};
  if (rest)
    parts.push_back(b.slice(row, 2 * pairs, rest));
  return b.concat(parts);
}

Value HeadRows::emit(VectorBuilder &b, Value head) const {
  Value row = b.load(source, {token, b.mulIndex(head, headDim)}, headDim);
  size_t rope = angles.size();
  for (Operation *op : llvm::reverse(chain)) {
    if (auto norm = dyn_cast<nn::RmsNormOp>(op)) {
      Value squares = b.addSquares(b.splat(0, sumLanes), row);
      Value factor = emitNormFactor(b, squares, headDim, norm.getEps().convertToFloat());
      row = b.mul(b.mul(row, b.broadcast(factor, headDim)), b.load(norm.getWeight(), b.index(0), headDim));
    } else {
      row = rotate(b, cast<nn::RopeOp>(op).getStyle(), row, angles[--rope]);
    }
  }
  return row;
}

Value quantc::groupKeys(VectorBuilder &b, Value keys) {
  auto type = cast<RankedTensorType>(keys.getType());
  int64_t heads = type.getDimSize(0), headDim = type.getDimSize(2);
  int64_t groups = type.isDynamicDim(1) ? ShapedType::kDynamic : type.getDimSize(1) / nn::keyGroup;
  Value flat = tensor::CollapseShapeOp::create(b, keys, ArrayRef<ReassociationIndices>{{0}, {1, 2}});
  auto grouped = RankedTensorType::get({heads, groups, headDim, nn::keyGroup}, type.getElementType());
  OpFoldResult count =
      type.isDynamicDim(1) ? OpFoldResult(b.divIndex(b.size(keys, 1), nn::keyGroup)) : b.getIndexAttr(groups);
  SmallVector<OpFoldResult> shape{b.getIndexAttr(heads), count, b.getIndexAttr(headDim), b.getIndexAttr(nn::keyGroup)};
  return tensor::ExpandShapeOp::create(b, grouped, flat, ArrayRef<ReassociationIndices>{{0}, {1, 2, 3}}, shape);
}

Value quantc::ungroupKeys(VectorBuilder &b, Value grouped, RankedTensorType type, Value positions) {
  Value flat = tensor::CollapseShapeOp::create(b, grouped, ArrayRef<ReassociationIndices>{{0}, {1, 2, 3}});
  SmallVector<OpFoldResult> shape{b.getIndexAttr(type.getDimSize(0)), positions, b.getIndexAttr(type.getDimSize(2))};
  if (!type.isDynamicDim(1))
    shape[1] = b.getIndexAttr(type.getDimSize(1));
  return tensor::ExpandShapeOp::create(b, type, flat, ArrayRef<ReassociationIndices>{{0}, {1, 2}}, shape);
}
