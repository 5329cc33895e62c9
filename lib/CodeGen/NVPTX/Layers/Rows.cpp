//===- Rows.cpp - rows that are chosen: nn.embedding, qf.decode, nn.last ------------------------------------------===//

#include "../../LaneEvaluator.h"
#include "../ConstantTables.h"
#include "../FragmentReader.h"
#include "../Fragments.h"
#include "HeadRow.h"
#include "Layers.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace quantc;

static int64_t features(Value value) {
  return cast<RankedTensorType>(value.getType()).getShape().back();
}

/// y[t] = from[row(t)], a block for some features of a row.
static void copyRows(LayerBuilder &b, Value from, Value out, GridAxis rows, function_ref<Value(Value)> row) {
  const int64_t count = features(from);
  Value y = b.block(gpu::Dimension::y), feature = b.add(b.mul(b.block(gpu::Dimension::x), b.threads), b.thread());
  b.when(b.less(feature, b.i64(count)),
         [&] { b.store(b.load(from, b.add(b.mul(row(y), count), feature)), out, b.add(b.mul(y, count), feature)); });
  b.finish({{-1, static_cast<int64_t>(llvm::divideCeil(count, b.threads))}, rows});
}

LogicalResult quantc::emitEmbedding(nn::EmbeddingOp op, gpu::GPUModuleOp module) {
  LayerBuilder b(op->getParentOfType<func::FuncOp>(), module, threadsFor(features(op.getTable()), 256));
  copyRows(b, op.getTable(), destinationOf(op.getY()), b.perToken(),
           [&](Value token) { return b.load(op.getTokens(), token); });
  return success();
}

LogicalResult quantc::emitLast(nn::LastOp op, gpu::GPUModuleOp module) {
  LayerBuilder b(op->getParentOfType<func::FuncOp>(), module, threadsFor(features(op.getX()), 256));
  copyRows(b, op.getX(), destinationOf(op.getY()), {static_cast<int>(b.indexOf(op.getRows())), 1},
           [&](Value row) { return b.add(row, b.sub(b.tokens(), b.parameter(op.getRows()))); });
  return success();
}

/// A warp decodes a tile of 16 rows, of which the lanes of one row store theirs. That is sixteen times the work, of
/// which there is little beside a matrix product.
LogicalResult quantc::emitDecode(qf::DecodeOp op, gpu::GPUModuleOp module) {
  auto function = op->getParentOfType<func::FuncOp>();
  auto format = cast<qf::ElemType>(getElementTypeOrSelf(op.getW()));
  const int64_t N = cast<RankedTensorType>(op.getW().getType()).getDimSize(0), K = features(op.getW());
  FailureOr<FragmentStorage> storage = fragmentsOf(op, format);
  if (failed(storage))
    return failure();
  if (Status fits = storage->checkShape(N, K); !fits)
    return op.emitOpError(fits.error().message);
  LayerBuilder layer(function, module, warpSize, &*storage);
  const int64_t columns = storage->tileColumns();
  Value token = layer.block(gpu::Dimension::y), tile = layer.block(gpu::Dimension::x);
  Value row = layer.load(op.getRows(), token);
  auto asIndex = [&](Value v) { return arith::IndexCastOp::create(layer, layer.getIndexType(), v).getResult(); };

  SmallVector<Value> planes;
  for (auto [plane, memory] : llvm::zip(storage->planes(), layer.planes())) {
    // A cell of many columns holds for several tiles.
    Value unit = layer.div(layer.mul(tile, columns), plane.columns);
    SmallVector<OpFoldResult> offsets{asIndex(layer.div(row, FragmentStorage::rows)), asIndex(unit),
                                      layer.getIndexAttr(0)};
    auto count = static_cast<int64_t>(llvm::divideCeil(columns, plane.columns));
    SmallVector<OpFoldResult> sizes{layer.getIndexAttr(1), layer.getIndexAttr(count), layer.getIndexAttr(plane.words)};
    SmallVector<OpFoldResult> strides(3, layer.getIndexAttr(1));
    planes.push_back(memref::SubViewOp::create(layer, memory, offsets, sizes, strides));
  }
  // The builders of lanes begin where the kernel's body ends.
  Operation *end = arith::ConstantIndexOp::create(layer, 0);
  LaneBuilder b(end, 8);
  ConstantTables tables(module);
  LaneEvaluator evaluator(b, storage->fields(), tables);
  const LaneIds ids = LaneIds::create(b);
  FragmentReader fragments(b, *storage, planes, 0, ids);
  StepReader reader(b, fragments);
  SmallVector<Value> numbers;
  for (int64_t column = 0; column < columns; column += FragmentStorage::stepColumns) {
    evaluator.moveTo(reader, static_cast<unsigned>(column));
    FailureOr<LaneValue> value = evaluator.evaluate(*storage->fields().format()->value());
    if (failed(value)) {
      InFlightDiagnostic diag = op.emitOpError() << "has no code for '" << format.getSpec() << "'";
      diag.attachNote() << evaluator.problem();
      return diag;
    }
    numbers.push_back(evaluator.asFloats(*value));
  }
  layer.setInsertionPointAfter(end);
  auto asI64 = [&](Value v) { return arith::IndexCastOp::create(layer, layer.getI64Type(), v).getResult(); };
  Value within = layer.rem(row, FragmentStorage::rows), group = asI64(ids.group), quad = asI64(ids.quad);
  Value isMine = arith::CmpIOp::create(layer, arith::CmpIPredicate::eq, layer.rem(within, 8), group);
  Value isUpper = layer.less(within, layer.i64(8));
  Value first = layer.add(layer.mul(token, K), layer.add(layer.mul(tile, columns), layer.mul(quad, 2)));
  const bool isPadded = K % columns != 0;
  Value left = isPadded ? layer.sub(layer.i64(K), layer.add(layer.mul(tile, columns), layer.mul(quad, 2))) : Value();
  layer.when(isMine, [&] {
    for (auto [step, eight] : llvm::enumerate(numbers))
      for (int64_t half = 0; half < 2; half++) // columns 2q + 8 half
        for (int64_t second = 0; second < 2; second++) {
          Value upper = vector::ExtractOp::create(layer, eight, 4 * half + second);
          Value lower = vector::ExtractOp::create(layer, eight, 4 * half + 2 + second);
          Value number = arith::SelectOp::create(layer, isUpper, upper, lower);
          const int64_t at = FragmentStorage::stepColumns * static_cast<int64_t>(step) + 8 * half + second;
          auto store = [&] { layer.store(number, op.getOut(), layer.add(first, at)); };
          if (isPadded)
            layer.when(layer.less(layer.i64(at), left), store);
          else
            store();
        }
  });
  layer.finish({{-1, static_cast<int64_t>(llvm::divideCeil(K, columns))}, layer.perToken()});
  return success();
}
