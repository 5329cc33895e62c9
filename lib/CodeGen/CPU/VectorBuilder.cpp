//===- VectorBuilder.cpp - building loops of vectors -----------------------------------------------------------===//

#include "VectorBuilder.h"

#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;
using namespace quantc;

Value VectorBuilder::index(int64_t value) {
  return arith::ConstantIndexOp::create(*this, value);
}

Value VectorBuilder::f32(double value) {
  return arith::ConstantOp::create(*this, getF32FloatAttr(value));
}

Value VectorBuilder::splat(double value, int64_t width) {
  return arith::ConstantOp::create(*this, DenseElementsAttr::get(vectorType(width), static_cast<float>(value)));
}

Value VectorBuilder::broadcast(Value scalar, int64_t width) {
  return vector::BroadcastOp::create(*this, VectorType::get(width, scalar.getType()), scalar);
}

Value VectorBuilder::size(Value tensor, int64_t dimension) {
  return createOrFold<tensor::DimOp>(tensor, dimension);
}

Value VectorBuilder::load(Value tensor, ValueRange at, int64_t width) {
  Type element = cast<ShapedType>(tensor.getType()).getElementType();
  Value read = vector::TransferReadOp::create(*this, VectorType::get(width, element), tensor, at,
                                              arith::ConstantOp::create(*this, getZeroAttr(element)), ArrayRef{true});
  return element.isF32() ? read : arith::ExtFOp::create(*this, vectorType(width), read);
}

Value VectorBuilder::extract(Value tensor, ValueRange at) {
  Value element = tensor::ExtractOp::create(*this, tensor, at);
  return element.getType().isF32() ? element : arith::ExtFOp::create(*this, getF32Type(), element);
}

Value VectorBuilder::store(Value vector, Value tensor, ValueRange at) {
  return vector::TransferWriteOp::create(*this, vector, tensor, at, ArrayRef{true}).getResult();
}

Value VectorBuilder::slice(Value vector, int64_t from, int64_t width) {
  if (from == 0 && cast<VectorType>(vector.getType()).getNumElements() == width)
    return vector;
  return vector::ExtractStridedSliceOp::create(*this, vector, ArrayRef{from}, ArrayRef{width}, ArrayRef<int64_t>{1});
}

Value VectorBuilder::concat(ValueRange vectors) {
  if (vectors.size() == 1)
    return vectors.front();
  int64_t width = 0;
  for (Value vector : vectors)
    width += cast<VectorType>(vector.getType()).getNumElements();
  Value all = splat(0, width);
  int64_t at = 0;
  for (Value vector : vectors) {
    all = vector::InsertStridedSliceOp::create(*this, vector, all, ArrayRef{at}, ArrayRef<int64_t>{1});
    at += cast<VectorType>(vector.getType()).getNumElements();
  }
  return all;
}

/// Rows i and i + n/2 are interleaved, log2(n) times: each time, the number of a row's place moves by one bit into that
/// of the lane's.
VectorBuilder::Values VectorBuilder::transpose(Values rows) {
  const size_t half = rows.size() / 2;
  SmallVector<int64_t> low, high;
  for (size_t i = 0; i < half; ++i) {
    low.append({int64_t(i), int64_t(i + 2 * half)});
    high.append({int64_t(i + half), int64_t(i + 3 * half)});
  }
  for (size_t round = 1; round < rows.size(); round *= 2) {
    Values next;
    for (size_t i = 0; i < half; ++i)
      for (ArrayRef<int64_t> mask : {low, high})
        next.push_back(vector::ShuffleOp::create(*this, rows[i], rows[i + half], mask));
    rows = std::move(next);
  }
  return rows;
}

Value VectorBuilder::reduce(Value vector, function_ref<Value(Value, Value)> combine) {
  for (int64_t half = sumLanes / 2; half; half /= 2)
    vector = combine(slice(vector, 0, half), slice(vector, half, half));
  return vector::ExtractOp::create(*this, vector, ArrayRef<int64_t>{0});
}

Value VectorBuilder::addSquares(Value squares, Value vector) {
  int64_t width = cast<VectorType>(vector.getType()).getNumElements();
  for (int64_t at = 0; at < width; at += sumLanes) {
    int64_t here = std::min(sumLanes, width - at);
    Value part = slice(vector, at, here);
    if (here < sumLanes)
      part = concat({part, splat(0, sumLanes - here)});
    squares = fma(part, part, squares);
  }
  return squares;
}

VectorBuilder::Values VectorBuilder::loop(Value from, Value to, Value step, ValueRange inits,
                                          function_ref<Values(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(*this, from, to, step, inits);
  OpBuilder::InsertionGuard guard(*this);
  // A loop that carries nothing has its terminator already.
  if (inits.empty())
    setInsertionPoint(loop.getBody()->getTerminator());
  else
    setInsertionPointToEnd(loop.getBody());
  Values next = body(loop.getInductionVar(), loop.getRegionIterArgs());
  if (!inits.empty())
    scf::YieldOp::create(*this, next);
  return loop.getResults();
}

Value quantc::forChunks(VectorBuilder &b, int64_t count, int64_t width, Value value,
                        function_ref<Value(Value, int64_t, Value)> body) {
  int64_t whole = count / width * width;
  if (whole)
    value = b.loop(b.index(0), b.index(whole), b.index(width), value,
                   [&](Value at, ValueRange carried) { return VectorBuilder::Values{body(at, width, carried[0])}; })[0];
  return whole == count ? value : body(b.index(whole), count - whole, value);
}

static bufferization::MaterializeInDestinationOp copyOf(Value result) {
  if (!result.hasOneUse())
    return nullptr;
  return dyn_cast<bufferization::MaterializeInDestinationOp>(*result.user_begin());
}

Destination::Destination(VectorBuilder &b, Value result, Value tokens) : result(result) {
  auto type = cast<RankedTensorType>(result.getType());
  if (auto styled = dyn_cast<DestinationStyleOpInterface>(result.getDefiningOp()))
    destination = styled.getDpsInits().front();
  else if (auto copy = copyOf(result))
    destination = copy.getDest();
  else
    destination = tensor::EmptyOp::create(b, type, type.isDynamicDim(0) ? ValueRange(tokens) : ValueRange());
}

void Destination::replace(Value value) {
  if (auto copy = copyOf(result)) {
    copy->replaceAllUsesWith(ValueRange(value));
    copy->erase();
  }
  Operation *op = result.getDefiningOp();
  result.replaceAllUsesWith(value);
  op->erase();
}

void quantc::replaceByTokenLoop(Operation *op, Value tokens, function_ref<Value(VectorBuilder &, Value, Value)> body) {
  VectorBuilder b(op->getLoc(), op);
  Destination destination(b, op->getResult(0), tokens);
  int64_t features = cast<RankedTensorType>(op->getResult(0).getType()).getDimSize(1);
  SmallVector<OpFoldResult> counts{getAsOpFoldResult(tokens)};
  auto loop = scf::ForallOp::create(b, counts, ValueRange{destination.tensor()}, std::nullopt);

  b.setInsertionPointToStart(loop.getBody());
  Value token = loop.getInductionVar(0), shared = loop.getRegionIterArgs()[0];
  SmallVector<OpFoldResult> offsets{token, b.getIndexAttr(0)};
  SmallVector<OpFoldResult> extent{b.getIndexAttr(1), b.getIndexAttr(features)};
  SmallVector<OpFoldResult> strides(2, b.getIndexAttr(1));
  Value slice = tensor::ExtractSliceOp::create(b, shared, offsets, extent, strides);
  insertTile(b, loop, body(b, token, slice), shared, offsets, extent);
  destination.replace(loop.getResult(0));
}

void quantc::insertTile(VectorBuilder &b, scf::ForallOp loop, Value tile, Value destination,
                        ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes) {
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToEnd(loop.getTerminator().getBody());
  SmallVector<OpFoldResult> strides(offsets.size(), b.getIndexAttr(1));
  tensor::ParallelInsertSliceOp::create(b, tile, destination, offsets, sizes, strides);
}

void quantc::eraseUnused(ArrayRef<Operation *> ops) {
  for (Operation *op : ops)
    if (op->use_empty())
      op->erase();
}
