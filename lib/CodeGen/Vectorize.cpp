//===- Vectorize.cpp - register tiles become vectors ----------------------------------------------------------===//

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "quantc/CodeGen/Passes.h"
#include "quantc/Dialect/QF/QF.h"

namespace quantc {
#define GEN_PASS_DEF_QFVECTORIZE
#include "quantc/CodeGen/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

/// Tiles of ours are read and written whole, which upstream's hoisting and forwarding understand.
Value readTile(IRRewriter &rewriter, Value tile) {
  auto type = cast<RankedTensorType>(tile.getType());
  SmallVector<Value> origin(2, arith::ConstantIndexOp::create(rewriter, tile.getLoc(), 0));
  return vector::TransferReadOp::create(rewriter, tile.getLoc(),
                                        VectorType::get(type.getShape(), type.getElementType()), tile, origin,
                                        std::nullopt, ArrayRef<bool>{true, true});
}
Operation *writeTile(IRRewriter &rewriter, Value vector, Value tile) {
  SmallVector<Value> origin(2, arith::ConstantIndexOp::create(rewriter, tile.getLoc(), 0));
  return vector::TransferWriteOp::create(rewriter, tile.getLoc(), vector, tile, origin, ArrayRef<bool>{true, true});
}

struct VectorizePass : quantc::impl::QFVectorizeBase<VectorizePass> {
  void runOnOperation() override {
    SmallVector<Operation *> ops;
    getOperation().walk([&](Operation *op) {
      if (isa<linalg::LinalgOp, qf::ContractOp, qf::EncodeOp, qf::DecodeOp>(op))
        ops.push_back(op);
    });
    IRRewriter rewriter(&getContext());
    for (Operation *op : ops)
      if (failed(vectorize(rewriter, op)))
        return signalPassFailure();
  }

  static LogicalResult vectorize(IRRewriter &rewriter, Operation *op) {
    for (Type type : op->getResultTypes())
      if (!cast<ShapedType>(type).hasStaticShape())
        return op->emitOpError("has no static tile: run qf-tile before");
    rewriter.setInsertionPoint(op);
    Location loc = op->getLoc();
    if (auto contract = dyn_cast<qf::ContractOp>(op)) {
      Value sum = readTile(rewriter, contract.getOut());
      int64_t columns = cast<ShapedType>(contract.getX().getType()).getDimSize(1);
      sum = qf::TileDotOp::create(rewriter, loc, sum.getType(), sum, contract.getX(), contract.getW(), columns,
                                  contract.getExact());
      rewriter.replaceOp(op, writeTile(rewriter, sum, contract.getOut()));
      return success();
    }
    if (auto encode = dyn_cast<qf::EncodeOp>(op)) {
      Value x = readTile(rewriter, encode.getX());
      rewriter.modifyOpInPlace(op, [&] { encode.getXMutable().assign(x); });
      return success();
    }
    if (auto decode = dyn_cast<qf::DecodeOp>(op)) {
      auto type = cast<RankedTensorType>(decode.getOut().getType());
      if (type.getDimSize(0) != 1)
        return op->emitOpError("has a tile of several tokens");
      Value zero = arith::ConstantIndexOp::create(rewriter, loc, 0);
      Value row = tensor::ExtractOp::create(rewriter, loc, decode.getRows(), zero);
      row = arith::IndexCastOp::create(rewriter, loc, rewriter.getIndexType(), row);
      Value values = qf::TileDecodeOp::create(rewriter, loc, VectorType::get(type.getShape(), type.getElementType()),
                                              decode.getW(), row);
      rewriter.replaceOp(op, writeTile(rewriter, values, decode.getOut()));
      return success();
    }
    FailureOr<linalg::VectorizationResult> result = linalg::vectorize(
        rewriter, op, /*inputVectorSizes=*/{}, /*inputScalableVecDims=*/{}, /*vectorizeNDExtract=*/true);
    if (failed(result))
      return op->emitOpError("cannot be vectorized");
    rewriter.replaceOp(op, result->replacements);
    return success();
  }
};

} // namespace
