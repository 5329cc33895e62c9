//===- ForallToRange.cpp - from parallel loops to a function of a range of tasks ------------------------------===//
//
// All that a run-time needs to fork and join is a kernel of a range: no captures, no closures, the same bits whatever
// the number of threads.
//
//===----------------------------------------------------------------------------------------------------------===//

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "quantc/CodeGen/Passes.h"

namespace quantc {
#define GEN_PASS_DEF_QFFORALLTORANGE
#include "quantc/CodeGen/Passes.h.inc"
} // namespace quantc

using namespace mlir;

namespace {

struct ForallToRangePass : quantc::impl::QFForallToRangeBase<ForallToRangePass> {
  void runOnOperation() override {
    for (func::FuncOp function : llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>()))
      if (!function.isDeclaration() && failed(rewrite(function)))
        return signalPassFailure();
  }

  LogicalResult rewrite(func::FuncOp function) {
    if (!function.getBody().hasOneBlock())
      return function.emitOpError("has several blocks; a kernel is straight-line code around parallel loops");
    setResults(function, {}); // equivalent to writable parameters
    if (function.getOps<scf::ForallOp>().empty())
      wrapBody(function);

    func::FuncOp tasks = function.clone();
    tasks.setName((function.getName() + "_tasks").str());
    getOperation().insert(std::next(function->getIterator()), tasks);
    countTasks(tasks);

    Location loc = function.getLoc();
    Type index = IndexType::get(&getContext());
    unsigned n = function.getNumArguments();
    (void)function.insertArguments({n, n}, {index, index}, {DictionaryAttr(), DictionaryAttr()}, {loc, loc});
    Value begin = function.getArgument(n), end = function.getArgument(n + 1);
    for (scf::ForallOp loop : llvm::to_vector(function.getOps<scf::ForallOp>()))
      std::tie(begin, end) = runRange(loop, begin, end);
    return success();
  }

  static void setResults(func::FuncOp function, ValueRange results) {
    function.front().getTerminator()->setOperands(results);
    function.setType(FunctionType::get(function.getContext(), function.getArgumentTypes(), results.getTypes()));
  }

  /// A function without a parallel loop (one tile, or a loop of one pass that was folded) is one task.
  static void wrapBody(func::FuncOp function) {
    Block &body = function.front();
    IRRewriter rewriter(function.getContext());
    rewriter.setInsertionPointToStart(&body);
    Location loc = function.getLoc();
    OpFoldResult zero = rewriter.getIndexAttr(0), one = rewriter.getIndexAttr(1);
    auto loop = scf::ForallOp::create(rewriter, loc, SmallVector<OpFoldResult>{zero}, SmallVector<OpFoldResult>{one},
                                      SmallVector<OpFoldResult>{one}, ValueRange{}, std::nullopt);
    for (Operation &op :
         llvm::make_early_inc_range(llvm::make_range(std::next(loop->getIterator()), std::prev(body.end()))))
      op.moveBefore(loop.getBody()->getTerminator());
  }

  /// Passes of each dimension of a loop.
  static SmallVector<OpFoldResult> trips(RewriterBase &rewriter, scf::ForallOp loop) {
    AffineExpr low, high, step;
    bindSymbols(rewriter.getContext(), low, high, step);
    SmallVector<OpFoldResult> counts;
    for (auto [l, h, s] : llvm::zip(loop.getMixedLowerBound(), loop.getMixedUpperBound(), loop.getMixedStep()))
      counts.push_back(
          affine::makeComposedFoldedAffineApply(rewriter, loop.getLoc(), (high - low).ceilDiv(step), {l, h, s}));
    return counts;
  }
  static Value product(RewriterBase &rewriter, Location loc, ArrayRef<OpFoldResult> factors) {
    Value result = arith::ConstantIndexOp::create(rewriter, loc, 1);
    for (OpFoldResult factor : factors)
      result = arith::MulIOp::create(rewriter, loc, result, getValueOrCreateConstantIndexOp(rewriter, loc, factor));
    return result;
  }

  /// Replaces a parallel loop by a loop over its part of [begin, end); returns the range relative to the next loop.
  static std::pair<Value, Value> runRange(scf::ForallOp loop, Value begin, Value end) {
    IRRewriter rewriter(loop);
    Location loc = loop.getLoc();
    SmallVector<OpFoldResult> counts = trips(rewriter, loop);
    Value zero = arith::ConstantIndexOp::create(rewriter, loc, 0),
          one = arith::ConstantIndexOp::create(rewriter, loc, 1);
    Value count = product(rewriter, loc, counts);
    Value first = arith::MaxSIOp::create(rewriter, loc, begin, zero);
    Value last = arith::MinSIOp::create(rewriter, loc, end, count);
    auto range = scf::ForOp::create(rewriter, loc, first, last, one);

    rewriter.setInsertionPointToStart(range.getBody());
    auto ids = affine::AffineDelinearizeIndexOp::create(rewriter, loc, range.getInductionVar(), counts);
    SmallVector<Value> indices;
    AffineExpr id, low, step;
    bindDims(rewriter.getContext(), id);
    bindSymbols(rewriter.getContext(), low, step);
    for (auto [i, l, s] : llvm::zip(ids.getResults(), loop.getMixedLowerBound(), loop.getMixedStep())) {
      OpFoldResult index =
          affine::makeComposedFoldedAffineApply(rewriter, loc, low + id * step, {OpFoldResult(i), l, s});
      indices.push_back(getValueOrCreateConstantIndexOp(rewriter, loc, index));
    }
    rewriter.eraseOp(loop.getTerminator());
    rewriter.inlineBlockBefore(loop.getBody(), range.getBody()->getTerminator(), indices);

    rewriter.setInsertionPoint(loop);
    Value nextBegin = arith::SubIOp::create(rewriter, loc, begin, count);
    Value nextEnd = arith::SubIOp::create(rewriter, loc, end, count);
    rewriter.eraseOp(loop);
    return {nextBegin, nextEnd};
  }

  /// Keeps of a kernel what its number of tasks depends on.
  static void countTasks(func::FuncOp function) {
    IRRewriter rewriter(function.front().getTerminator());
    Value count = arith::ConstantIndexOp::create(rewriter, function.getLoc(), 0);
    for (scf::ForallOp loop : llvm::to_vector(function.getOps<scf::ForallOp>())) {
      Value tasks = product(rewriter, loop.getLoc(), trips(rewriter, loop));
      count = arith::AddIOp::create(rewriter, loop.getLoc(), count, tasks);
    }
    setResults(function, count);
    SmallVector<Operation *> ops =
        llvm::map_to_vector(function.front().without_terminator(), [](Operation &op) { return &op; });
    for (Operation *op : llvm::reverse(ops)) // users first; a reverse iterator would not survive the erasure
      if (op->use_empty() && (isa<scf::ForallOp>(op) || isMemoryEffectFree(op)))
        rewriter.eraseOp(op);
  }
};

} // namespace
