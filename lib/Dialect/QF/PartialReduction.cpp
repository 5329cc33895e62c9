//===- PartialReduction.cpp - splitting qf.contract along its sum -------------------------------------------------===//
//
// Part p of a tensor [parts, m, n] is a contraction of its own, which starts from zero; a linalg.reduce adds the parts.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "quantc/Dialect/QF/QFGPU.h"

using namespace mlir;
using namespace quantc::qf;

namespace {

using Folds = ArrayRef<OpFoldResult>;

struct PartialReduction : PartialReductionOpInterface::ExternalModel<PartialReduction, ContractOp> {
  /// Upstream exchanges `out` for the partial results before it asks for a tile: sizes come from the operands.
  static SmallVector<OpFoldResult> sizes(OpBuilder &b, ContractOp op) {
    auto x = tensor::getMixedSizes(b, op.getLoc(), op.getX()), w = tensor::getMixedSizes(b, op.getLoc(), op.getW());
    return {x[0], w[0], x[1]};
  }
  static Value slice(OpBuilder &b, Location loc, Value v, Folds offsets, Folds sizes) {
    SmallVector<OpFoldResult> ones(offsets.size(), b.getIndexAttr(1));
    return tensor::ExtractSliceOp::create(b, loc, v, offsets, sizes, ones);
  }

  FailureOr<SmallVector<Value>> generateInitialTensorForPartialReduction(Operation *op, OpBuilder &b, Location loc,
                                                                         Folds tile,
                                                                         const SetVector<unsigned> &) const {
    auto contract = cast<ContractOp>(op);
    SmallVector<OpFoldResult> all = sizes(b, contract), shape = {tile[2], all[0], all[1]};
    return SmallVector<Value>{
        tensor::EmptyOp::create(b, loc, shape, getElementTypeOrSelf(contract.getOut().getType()))};
  }

  FailureOr<TilingResult> tileToPartialReduction(Operation *op, OpBuilder &b, Location loc,
                                                 ReductionTilingStrategy strategy, ValueRange init, Folds offsets,
                                                 Folds tile, const SetVector<unsigned> &, Folds places) const {
    if (strategy != ReductionTilingStrategy::PartialReductionOuterParallel)
      return failure();
    auto contract = cast<ContractOp>(op);
    Value x = slice(b, loc, contract.getX(), {offsets[0], offsets[2]}, {tile[0], tile[2]});
    Value w = slice(b, loc, contract.getW(), {offsets[1], offsets[2]}, {tile[1], tile[2]});
    auto part = RankedTensorType::get(decomposeMixedValues(SmallVector<OpFoldResult>{tile[0], tile[1]}).first,
                                      getElementTypeOrSelf(init[0].getType()));
    OpFoldResult one = b.getIndexAttr(1);
    Value out = tensor::ExtractSliceOp::create(b, loc, part, init[0], {places[0], offsets[0], offsets[1]},
                                               {one, tile[0], tile[1]}, {one, one, one});
    Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(part.getElementType()));
    Value fill = linalg::FillOp::create(b, loc, zero, out).getResult(0);
    Operation *tiled = mlir::clone(b, op, part, {x, w, fill});
    return TilingResult{
        {tiled}, SmallVector<Value>(tiled->getResults()), {x.getDefiningOp(), w.getDefiningOp(), out.getDefiningOp()}};
  }

  LogicalResult getPartialResultTilePosition(Operation *, OpBuilder &b, unsigned, ReductionTilingStrategy,
                                             Folds offsets, Folds tile, const SetVector<unsigned> &, Folds places,
                                             SmallVector<OpFoldResult> &resultOffsets,
                                             SmallVector<OpFoldResult> &resultSizes) const {
    resultOffsets = {places[0], offsets[0], offsets[1]};
    resultSizes = {b.getIndexAttr(1), tile[0], tile[1]};
    return success();
  }

  FailureOr<MergeResult> mergeReductions(Operation *op, OpBuilder &b, Location loc, ValueRange partial,
                                         const SetVector<unsigned> &) const {
    auto sum = linalg::ReduceOp::create(b, loc, partial, cast<ContractOp>(op).getOut(), ArrayRef<int64_t>{0},
                                        [](OpBuilder &b, Location loc, ValueRange v) {
                                          linalg::YieldOp::create(
                                              b, loc, ValueRange{arith::AddFOp::create(b, loc, v[0], v[1])});
                                        });
    return MergeResult{{sum}, SmallVector<Value>(sum.getResults())};
  }
};

} // namespace

void quantc::qf::attachPartialReduction(MLIRContext *context) {
  ContractOp::attachInterface<PartialReduction>(*context);
}
