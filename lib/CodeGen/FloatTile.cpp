//===- FloatTile.cpp - a register tile with f32 activations -----------------------------------------------------===//
//
// Those of bf16 lie as f32 too, for targets that multiply no bf16.
//
// `value` of each weight as written, columns ascending. A loop goes over the segments of a block, a few at a time; what
// is constant over runs of columns (scales) is evaluated for the whole block before and comes out of the stack. Exact
// kernels have one sum for all columns. Fast ones begin a sum for each pass, so that a processor works on several
// passes at once instead of waiting for one column after the other.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "Activations.h"
#include "TileBody.h"
#include "quantc/Format/Factoring.h"
#include <numeric>

using namespace mlir;
using namespace quantc;

namespace {

/// Columns of a pass, at least.
constexpr int64_t leastStep = 16;

class FloatTile {
public:
  FloatTile(qf::TileDotOp op, LaneBuilder &b, const KernelStorage &storage, const TableLookup &lookup, TileBody &body,
            std::optional<ActivationLayout> halves)
      : op(op), b(b), storage(storage), body(body), halves(halves), format(*storage.format()),
        evaluator(b, storage, lookup) {}

  LogicalResult emit();

private:
  /// Bytes from the x of a token to that of its column `column`.
  int64_t offsetOf(int64_t column) const {
    return halves ? column / halves->group * halves->bytes + *halves->wide + column % halves->group * 4 : 4 * column;
  }
  SmallVector<BlockReader *> blocks(int64_t column);
  bool findShared(const ExprPtr &expr);
  int64_t chooseStep(int64_t count);
  LogicalResult addColumn(ArrayRef<BlockReader *> groups, unsigned column, Value x,
                          ArrayRef<SmallVector<LaneValue>> known, MutableArrayRef<Value> sums);
  FailureOr<SmallVector<Value>> weights(ArrayRef<BlockReader *> groups, unsigned column,
                                        ArrayRef<SmallVector<LaneValue>> known);
  LogicalResult addPass(MutableArrayRef<Value> sums,
                        function_ref<LogicalResult(MutableArrayRef<Value> sums)> addColumns);
  LogicalResult storeShared(int64_t first, int64_t count);
  SmallVector<LaneValue> loadShared(Value cells, int64_t offset);
  LogicalResult loop(int64_t first, int64_t count, int64_t step, SmallVectorImpl<Value> &sums);

  qf::TileDotOp op;
  LaneBuilder &b;
  const KernelStorage &storage;
  TileBody &body;
  const std::optional<ActivationLayout> halves; ///< of x, if it is bf16
  const Format &format;
  LaneEvaluator evaluator;
  std::vector<ExprPtr> shared;  ///< parts of `value` that are constant over runs, each read by all columns of one
  int64_t run = 0;              ///< columns of such a run
  SmallVector<LaneValue> kinds; ///< of what is shared; their vectors lie in `memory`
  Value memory;                 ///< what is shared: for each group, run and part a vector; null where nothing is
};

} // namespace

/// The blocks of column `column`, of each group of rows.
SmallVector<BlockReader *> FloatTile::blocks(int64_t column) {
  SmallVector<BlockReader *> blocks;
  for (int64_t g = 0; g < body.groups(); g++)
    blocks.push_back(&body.block(column, g));
  return blocks;
}

LogicalResult FloatTile::emit() {
  SmallVector<Value> sums = body.accumulators();
  LogicalResult good = success();
  for (int64_t first = 0; first < body.columns() && succeeded(good); first += storage.columns()) {
    const int64_t count = std::min<int64_t>(storage.columns(), body.columns() - first);
    if (int64_t step = chooseStep(count)) {
      good = loop(first, count, step, sums);
      continue;
    }
    for (int64_t pass = 0; pass < count && succeeded(good); pass += leastStep)
      good = addPass(sums, [&](MutableArrayRef<Value> sums) {
        for (int64_t column = pass; column < std::min(pass + leastStep, count); column++)
          if (failed(addColumn(blocks(first), column, body.token(0, offsetOf(first + column)), {}, sums)))
            return failure();
        return success();
      });
  }
  if (failed(good)) {
    InFlightDiagnostic diag = op.emitOpError() << "has no code for '" << storage.source()->spec() << "'";
    diag.attachNote() << evaluator.problem();
    return diag;
  }
  body.finish(sums);
  return success();
}

/// Finds the largest parts that are constant over runs. False where a pass of a loop could not evaluate the rest, which
/// must be the same for each column of it but for codes that lie in segments.
bool FloatTile::findShared(const ExprPtr &expr) {
  if (!format.readsField(*expr) && expr->kind != ExprKind::Name)
    return llvm::all_of(expr->args, [&](const ExprPtr &arg) { return findShared(arg); });
  if (const int64_t columns = constantRun(format, expr); columns != 1 && format.readsField(*expr)) {
    shared.push_back(expr);
    run = std::gcd(run, columns);
    return true;
  }
  if (expr->kind == ExprKind::Sum)
    return false;
  if (expr->kind == ExprKind::Name && !format.table(expr->name)) {
    const Field *field = format.field(expr->name);
    const StorageItem *item = field ? storage.find(field->name) : nullptr;
    return item && item->inSegments && field->array.empty();
  }
  return llvm::all_of(expr->args, [&](const ExprPtr &arg) { return findShared(arg); });
}

/// Columns of one pass of a loop over a block; 0: no loop.
int64_t FloatTile::chooseStep(int64_t count) {
  shared.clear();
  run = storage.columns();
  const int64_t segment = storage.segmentColumns();
  const bool contiguous = !halves || halves->group % storage.columns() == 0;
  if (count < storage.columns() || !contiguous || !findShared(format.value()))
    return 0;
  for (int64_t step = segment; step < count; step += segment)
    if (step >= leastStep && count % step == 0 && (run % step == 0 || step % run == 0))
      return step;
  return 0;
}

/// The weights of one column in each group of rows; `known`: the values of what is shared, in each.
FailureOr<SmallVector<Value>> FloatTile::weights(ArrayRef<BlockReader *> groups, unsigned column,
                                                 ArrayRef<SmallVector<LaneValue>> known) {
  SmallVector<Value> weights;
  for (auto [g, block] : llvm::enumerate(groups)) {
    evaluator.moveTo(*block, column);
    if (!known.empty())
      for (auto [expr, value] : llvm::zip(shared, known[g]))
        evaluator.bind(*expr, value);
    FailureOr<LaneValue> value = evaluator.evaluate(*format.value());
    if (failed(value))
      return failure();
    weights.push_back(evaluator.asFloats(*value));
  }
  return weights;
}

/// sums += value(column) · x, `x` being the address of token 0's.
LogicalResult FloatTile::addColumn(ArrayRef<BlockReader *> groups, unsigned column, Value x,
                                   ArrayRef<SmallVector<LaneValue>> known, MutableArrayRef<Value> sums) {
  FailureOr<SmallVector<Value>> w = weights(groups, column, known);
  if (failed(w))
    return failure();
  for (int64_t t = 0; t < body.tokens(); t++) {
    Value activation = b.loadBroadcast(b.f32s, body.token(x, t, 0), 4);
    for (auto [g, weight] : llvm::enumerate(*w)) {
      Value &sum = sums[g * body.tokens() + t];
      sum = op.getExact() ? b.add(sum, b.mul(weight, activation)) : b.fma(weight, activation, sum);
    }
  }
  return success();
}

LogicalResult FloatTile::addPass(MutableArrayRef<Value> sums,
                                 function_ref<LogicalResult(MutableArrayRef<Value> sums)> addColumns) {
  if (op.getExact())
    return addColumns(sums);
  SmallVector<Value> own(sums.size(), b.splat(0.0f));
  if (failed(addColumns(own)))
    return failure();
  for (auto [sum, ofPass] : llvm::zip(sums, own))
    sum = b.add(sum, ofPass);
  return success();
}

/// Evaluates what is shared, for the block of each group from column `first` on, into memory of the stack.
LogicalResult FloatTile::storeShared(int64_t first, int64_t count) {
  const int64_t vector = 4 * b.lanes, cell = static_cast<int64_t>(shared.size()) * vector;
  memory = shared.empty() ? Value() : body.scratch(body.groups() * (count / run) * static_cast<int64_t>(shared.size()));
  for (int64_t g = 0; g < body.groups() && memory; g++)
    for (int64_t column = 0; column < count; column += run) {
      evaluator.moveTo(body.block(first, g), column);
      kinds.clear();
      for (auto [s, expr] : llvm::enumerate(shared)) {
        FailureOr<LaneValue> value = evaluator.evaluate(*expr);
        if (failed(value))
          return failure();
        Value number = value->isFloat ? evaluator.asFloats(*value) : evaluator.asIntegers(*value);
        b.store(number, b.at(memory, (g * count + column) / run * cell + static_cast<int64_t>(s) * vector), vector);
        kinds.push_back(*value);
      }
    }
  return success();
}

/// What was stored `offset` bytes behind `cells`.
SmallVector<LaneValue> FloatTile::loadShared(Value cells, int64_t offset) {
  SmallVector<LaneValue> known = kinds;
  const int64_t vector = 4 * b.lanes;
  for (auto [s, value] : llvm::enumerate(known))
    value.vector =
        b.load(value.isFloat ? b.f32s : b.i32s, b.at(cells, offset + static_cast<int64_t>(s) * vector), vector);
  return known;
}

LogicalResult FloatTile::loop(int64_t first, int64_t count, int64_t step, SmallVectorImpl<Value> &sums) {
  if (failed(storeShared(first, count)))
    return failure();
  const int64_t cell = static_cast<int64_t>(shared.size()) * 4 * b.lanes;
  SmallVector<Value> addresses;
  for (int64_t g = 0; g < body.groups(); g++)
    addresses.push_back(body.blockAddress(first, g));
  Value x = body.token(0, offsetOf(first));
  return body.loop(count / step, sums, [&](Value i, MutableArrayRef<Value> carried) {
    std::vector<BlockReader> blocks;
    for (Value address : addresses)
      blocks.push_back(body.reader(b.at(address, i, step / storage.segmentColumns() * storage.segmentBytes())));
    SmallVector<BlockReader *> groups = llvm::map_to_vector(blocks, [](BlockReader &block) { return &block; });
    Value xs = b.at(x, i, 4 * step), cells = memory;
    if (memory && step < run)
      cells = b.at(memory, arith::DivUIOp::create(b, i, b.i64(run / step)), cell);
    else if (memory)
      cells = b.at(memory, i, step / run * cell);
    return addPass(carried, [&](MutableArrayRef<Value> sums) {
      SmallVector<SmallVector<LaneValue>> known(groups.size());
      for (int64_t column = 0; column < step; column++) {
        if (column % run == 0)
          for (auto [g, values] : llvm::enumerate(known))
            values = loadShared(cells, (static_cast<int64_t>(g) * count + column) / run * cell);
        if (failed(addColumn(groups, column, b.at(xs, 4 * column), known, sums)))
          return failure();
      }
      return success();
    });
  });
}

LogicalResult quantc::emitFloatTile(qf::TileDotOp op, LaneBuilder &b, const KernelStorage &storage,
                                    const TableLookup &lookup) {
  std::optional<ActivationLayout> halves;
  if (auto block = dyn_cast<qf::BlockType>(cast<ShapedType>(op.getX().getType()).getElementType())) {
    Result<ActivationLayout> layout = ActivationLayout::of(block);
    if (!layout || !layout->isHalf())
      return op.emitOpError("has activations that are no floats");
    halves = *layout;
  }
  FailureOr<TileBody> body = TileBody::create(op, b);
  if (failed(body))
    return failure();
  return FloatTile(op, b, storage, lookup, *body, halves).emit();
}
