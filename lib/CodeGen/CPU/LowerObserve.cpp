//===- LowerObserve.cpp - nn.observe as parallel loops over features -------------------------------------------===//
//
// The sums of products are a product of matrices of which both operands are x. A task makes a panel of rows of the
// Hessian: it copies the features of the panel, for a block of tokens, next to each other, then those of one tile of
// columns after the other, and adds their products in registers. Tokens are taken in order, so that sums depend neither
// on tiles nor on tasks.
//
//===-----------------------------------------------------------------------------------------------------------===//

#include "HeadRows.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "quantc/CodeGen/KernelPasses.h"
#include "quantc/Dialect/QF/QF.h"

namespace quantc {
#define GEN_PASS_DEF_NNLOWEROBSERVE
#include "quantc/CodeGen/KernelPasses.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

constexpr int64_t tokenBlock = 128; ///< tokens that are copied at a time
constexpr int64_t panelRows = 64;   ///< rows of the Hessian that a task makes

class ObserveEmitter {
public:
  /// `lanes`: of the target's vectors.
  ObserveEmitter(nn::ObserveOp op, int64_t lanes)
      : op(op), b(op.getLoc(), op), features(cast<RankedTensorType>(op.getX().getType()).getDimSize(1)),
        tileRows(lanes / 2), tileColumns(2 * lanes) {}

  void emit();

private:
  using Value = mlir::Value;
  using Values = VectorBuilder::Values;

  Value emitColumns(Value columns);
  Value emitColumnChunk(Value columns, Value first, int64_t width);
  Value emitHessian(Value hessian);
  Value emitPanel(Value panel, Value first, int64_t rows);
  Value emitTile(Value panel, Value first, int64_t rows, Value column, int64_t width, Value token, Value count);
  /// Calls `body` for `count` tasks, each of which makes a slice of `rows` × `columns` of the result, the first at
  /// place(task).
  Value forTasks(Value result, int64_t count, int64_t rows, int64_t columns,
                 function_ref<std::pair<Value, Value>(Value task)> place,
                 function_ref<Value(Value task, Value slice)> body);
  /// Copies `width` features from `feature` on, of the tokens [token, token + count), into rows of `scratch`.
  void gather(Value scratch, Value token, Value count, Value feature, int64_t width);
  Value makeScratch(int64_t columns) {
    return memref::AllocaOp::create(b, MemRefType::get({tokenBlock, columns}, b.getF32Type()), b.getI64IntegerAttr(64));
  }

  nn::ObserveOp op;
  VectorBuilder b;
  int64_t features, tileRows, tileColumns;
  Value panelScratch, tileScratch; ///< features of a panel and of a tile of columns, token by token
};

void ObserveEmitter::emit() {
  b.setInsertionPointToStart(&op->getParentOfType<func::FuncOp>().front());
  if (op.getHessian()) {
    panelScratch = makeScratch(panelRows);
    tileScratch = makeScratch(tileColumns);
  }
  b.setInsertionPoint(op);
  op.getNewColumns().replaceAllUsesWith(emitColumns(op.getColumns()));
  if (op.getHessian())
    op.getNewHessian().replaceAllUsesWith(emitHessian(op.getHessian()));
  op.erase();
}

Value ObserveEmitter::forTasks(Value result, int64_t count, int64_t rows, int64_t columns,
                               function_ref<std::pair<Value, Value>(Value)> place,
                               function_ref<Value(Value, Value)> body) {
  if (!count)
    return result;
  SmallVector<OpFoldResult> counts{b.getIndexAttr(count)};
  auto loop = scf::ForallOp::create(b, counts, ValueRange{result}, std::nullopt);
  OpBuilder::InsertionGuard guard(b);
  b.setInsertionPointToStart(loop.getBody());
  Value task = loop.getInductionVar(0), shared = loop.getRegionIterArgs()[0];
  auto [row, column] = place(task);
  SmallVector<OpFoldResult> offsets{getAsOpFoldResult(row), getAsOpFoldResult(column)};
  SmallVector<OpFoldResult> sizes{b.getIndexAttr(rows), b.getIndexAttr(columns)};
  SmallVector<OpFoldResult> strides(2, b.getIndexAttr(1));
  Value slice = tensor::ExtractSliceOp::create(b, shared, offsets, sizes, strides);
  insertTile(b, loop, body(task, slice), shared, offsets, sizes);
  return loop.getResult(0);
}

//===- Columns --------------------------------------------------------------------------------------------------===//

Value ObserveEmitter::emitColumns(Value columns) {
  auto chunks = [&](Value result, int64_t begin, int64_t count, int64_t width) {
    auto first = [&](Value task) { return b.addIndex(b.mulIndex(task, width), begin); };
    return forTasks(
        result, count, 3, width, [&](Value task) { return std::pair(b.index(0), first(task)); },
        [&](Value task, Value slice) { return emitColumnChunk(slice, first(task), width); });
  };
  const int64_t whole = features / panelRows * panelRows;
  columns = chunks(columns, 0, features / panelRows, panelRows);
  return chunks(columns, whole, features > whole, features - whole);
}

Value ObserveEmitter::emitColumnChunk(Value columns, Value first, int64_t width) {
  Values sums;
  for (int64_t row = 0; row < 3; ++row)
    sums.push_back(b.load(columns, {b.index(row), b.index(0)}, width));
  sums = b.loop(b.index(0), b.size(op.getX(), 0), b.index(1), sums, [&](Value token, ValueRange carried) -> Values {
    Value x = b.load(op.getX(), {token, first}, width), magnitude = math::AbsFOp::create(b, x);
    return {b.add(carried[0], magnitude), b.fma(x, x, carried[1]), b.max(magnitude, carried[2])};
  });
  for (int64_t row = 0; row < 3; ++row)
    columns = b.store(sums[row], columns, {b.index(row), b.index(0)});
  return columns;
}

//===- Hessian --------------------------------------------------------------------------------------------------===//

Value ObserveEmitter::emitHessian(Value hessian) {
  auto panels = [&](Value result, int64_t begin, int64_t count, int64_t rows) {
    auto first = [&](Value task) { return b.addIndex(b.mulIndex(task, panelRows), begin); };
    return forTasks(
        result, count, rows, features, [&](Value task) { return std::pair(first(task), b.index(0)); },
        [&](Value task, Value slice) { return emitPanel(slice, first(task), rows); });
  };
  const int64_t whole = features / panelRows * panelRows;
  hessian = panels(hessian, 0, features / panelRows, panelRows);
  return panels(hessian, whole, features > whole, features - whole);
}

void ObserveEmitter::gather(Value scratch, Value token, Value count, Value feature, int64_t width) {
  b.loop(b.index(0), count, b.index(1), {}, [&](Value t, ValueRange) -> Values {
    Value x = b.load(op.getX(), {b.addIndex(token, t), feature}, width);
    vector::StoreOp::create(b, x, scratch, ValueRange{t, b.index(0)});
    return {};
  });
}

/// Rows [first, first + rows) of the Hessian, from the tile of columns on that holds the diagonal.
Value ObserveEmitter::emitPanel(Value panel, Value first, int64_t rows) {
  Value tokens = b.size(op.getX(), 0);
  const int64_t whole = features / tileColumns * tileColumns;
  return b.loop(b.index(0), tokens, b.index(tokenBlock), panel, [&](Value token, ValueRange carried) -> Values {
    Value count = b.minIndex(b.index(tokenBlock), b.subIndex(tokens, token));
    gather(panelScratch, token, count, first, rows);
    Value result = b.loop(first, b.index(whole), b.index(tileColumns), carried, [&](Value column, ValueRange inner) {
      return Values{emitTile(inner[0], first, rows, column, tileColumns, token, count)};
    })[0];
    if (features > whole)
      result = emitTile(result, first, rows, b.index(whole), features - whole, token, count);
    return {result};
  })[0];
}

/// The tile of a panel with the columns [column, column + width), some rows at a time.
Value ObserveEmitter::emitTile(Value panel, Value first, int64_t rows, Value column, int64_t width, Value token,
                               Value count) {
  gather(tileScratch, token, count, column, width);
  return forChunks(b, rows, tileRows, panel, [&](Value row, int64_t here, Value result) {
    Values sums;
    for (int64_t i = 0; i < here; ++i)
      sums.push_back(b.load(result, {b.addIndex(row, i), column}, width));
    sums = b.loop(b.index(0), count, b.index(1), sums, [&](Value t, ValueRange carried) {
      Value features = vector::LoadOp::create(b, b.vectorType(width), tileScratch, ValueRange{t, b.index(0)});
      Values next;
      for (int64_t i = 0; i < here; ++i) {
        Value x = memref::LoadOp::create(b, panelScratch, ValueRange{t, b.addIndex(row, i)});
        next.push_back(b.fma(b.broadcast(x, width), features, carried[i]));
      }
      return next;
    });
    for (int64_t i = 0; i < here; ++i)
      result = b.store(sums[i], result, {b.addIndex(row, i), column});
    return result;
  });
}

struct LowerObserve : quantc::impl::NNLowerObserveBase<LowerObserve> {
  void runOnOperation() override {
    if (failed(checkLayers(getOperation())))
      return signalPassFailure();
    qf::TargetAttr target = qf::TargetAttr::of(getOperation());
    SmallVector<nn::ObserveOp> ops(getOperation().getOps<nn::ObserveOp>());
    for (nn::ObserveOp op : ops)
      ObserveEmitter(op, target ? std::max(target.getLanes(), 4u) : 8).emit();
  }
};

} // namespace
