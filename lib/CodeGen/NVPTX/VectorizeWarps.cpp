//===- VectorizeWarps.cpp - tiles of warps become vectors ---------------------------------------------------------===//

#include "Schedule.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "quantc/CodeGen/NVPTX/Passes.h"

namespace quantc {
#define GEN_PASS_DEF_QFVECTORIZEWARPS
#include "quantc/CodeGen/NVPTX/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

struct VectorizeWarpsPass : quantc::impl::QFVectorizeWarpsBase<VectorizeWarpsPass> {
  void runOnOperation() override {
    std::optional<Schedule> schedule = Schedule::of(getOperation());
    if (!schedule)
      return;
    IRRewriter rewriter(&getContext());
    SmallVector<Operation *> ops;
    getOperation().walk([&](Operation *op) {
      if (isa<linalg::LinalgOp, qf::ContractOp>(op))
        ops.push_back(op);
    });
    for (Operation *op : ops) {
      rewriter.setInsertionPoint(op);
      auto sum = dyn_cast<qf::ContractOp>(op);
      if (failed(sum ? vectorize(rewriter, sum, *schedule)
                     : vectorize(rewriter, cast<linalg::LinalgOp>(op), *schedule)))
        return signalPassFailure();
    }
    SmallVector<vector::MaskOp> masks;
    getOperation().walk([&](vector::MaskOp mask) { masks.push_back(mask); });
    for (vector::MaskOp mask : masks)
      unmask(rewriter, mask);
  }

private:
  /// Of a warp: those of its block, where warps share them.
  static int64_t mostTokensOf(const Schedule &schedule) {
    return schedule.warpTokens ? schedule.warpTokens : schedule.blockTokens;
  }

  static LogicalResult vectorize(IRRewriter &rewriter, qf::ContractOp sum, const Schedule &schedule) {
    Location loc = sum.getLoc();
    auto type = cast<RankedTensorType>(sum.getOut().getType());
    auto format = dyn_cast<qf::ElemType>(getElementTypeOrSelf(sum.getW().getType()));
    if (type.isDynamicDim(1) || !format)
      return sum.emitOpError("has no static tile of '!qf.elem': run qf-tile-blocks before");
    const bool inside = !type.isDynamicDim(0);
    auto vector = VectorType::get({inside ? type.getDimSize(0) : mostTokensOf(schedule), type.getDimSize(1)},
                                  type.getElementType());
    SmallVector<Value> origin(2, arith::ConstantIndexOp::create(rewriter, loc, 0));
    const bool bounds[] = {inside, true};
    Value padding = arith::ConstantOp::create(rewriter, loc, rewriter.getZeroAttr(type.getElementType()));
    Value acc = vector::TransferReadOp::create(rewriter, loc, vector, sum.getOut(), origin, padding, ArrayRef(bounds));
    acc = qf::WarpDotOp::create(rewriter, loc, vector, acc, sum.getX(), ValueRange{sum.getW()}, TypeAttr::get(format));
    rewriter.replaceOp(sum,
                       vector::TransferWriteOp::create(rewriter, loc, acc, sum.getOut(), origin, ArrayRef(bounds)));
    return success();
  }

  static LogicalResult vectorize(IRRewriter &rewriter, linalg::LinalgOp op, const Schedule &schedule) {
    SmallVector<int64_t> sizes = op.getStaticLoopRanges();
    const bool dynamic = llvm::is_contained(sizes, ShapedType::kDynamic);
    llvm::replace(sizes, ShapedType::kDynamic, mostTokensOf(schedule));
    if (!dynamic)
      sizes.clear();
    // Not optional once sizes are given: upstream reads past the end of an empty list.
    SmallVector<bool> scalable(sizes.size(), false);
    auto vectorized = linalg::vectorize(rewriter, op, sizes, scalable);
    if (failed(vectorized))
      return op->emitOpError("cannot be vectorized");
    rewriter.replaceOp(op, vectorized->replacements);
    return success();
  }

  /// A mask says that a vector ends where its tensor ends; out of bounds says the same. Other masks touch only lanes
  /// that are not stored.
  static void unmask(IRRewriter &rewriter, vector::MaskOp mask) {
    Operation *op = mask.getMaskableOp();
    op->moveBefore(mask);
    if (auto transfer = dyn_cast<VectorTransferOpInterface>(op)) {
      auto shape = cast<ShapedType>(transfer.getBase().getType());
      SmallVector<bool> inside;
      for (AffineExpr result : transfer.getPermutationMap().getResults())
        inside.push_back(!isa<AffineDimExpr>(result) || !shape.isDynamicDim(cast<AffineDimExpr>(result).getPosition()));
      op->setAttr("in_bounds", rewriter.getBoolArrayAttr(inside));
    }
    rewriter.replaceOp(mask, op->getResults());
  }
};

} // namespace
