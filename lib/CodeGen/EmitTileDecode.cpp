//===- EmitTileDecode.cpp - values of one row, and of all rows of a block --------------------------------------===//

#include "BlockBytes.h"
#include "BlockReader.h"
#include "LaneEvaluator.h"
#include "Lookup.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "quantc/CodeGen/Passes.h"

namespace quantc {
#define GEN_PASS_DEF_QFEMITTILEDECODE
#include "quantc/CodeGen/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

struct EmitTileDecodePass : quantc::impl::QFEmitTileDecodeBase<EmitTileDecodePass> {
  void runOnOperation() override {
    SmallVector<Operation *> ops;
    getOperation().walk([&](Operation *op) {
      if (isa<qf::TileDecodeOp, qf::DecodeBlockOp>(op))
        ops.push_back(op);
    });
    for (Operation *op : ops) {
      auto tile = dyn_cast<qf::TileDecodeOp>(op);
      if (failed(tile ? emit(tile) : emit(cast<qf::DecodeBlockOp>(op))))
        return signalPassFailure();
    }
  }

  static InFlightDiagnostic noCode(Operation *op, const KernelStorage &storage, const LaneEvaluator &evaluator) {
    InFlightDiagnostic diag = op->emitOpError() << "has no code for '" << storage.source()->spec() << "'";
    diag.attachNote() << evaluator.problem();
    return diag;
  }

  LogicalResult emit(qf::DecodeBlockOp op) {
    qf::TargetAttr target = qf::TargetAttr::of(op);
    if (!target || !isa<MemRefType>(op.getBytes().getType()))
      return op.emitOpError("has no buffer, or its module no 'qf.target'");
    std::shared_ptr<const KernelStorage> storage = cast<qf::BlockType>(op.getBlock()).getKernelStorage();
    LaneBuilder b(op, storage->rows());
    TableLookup lookup(getOperation(), target);
    LaneEvaluator evaluator(b, *storage, lookup);
    BlockReader reader(b, *storage, emitBlockAddress(b, op.getBytes(), op.getAt()));
    Value all = arith::ConstantOp::create(b, b.getZeroAttr(op.getRes().getType()));
    for (unsigned column = 0; column < storage->columns(); column++) {
      evaluator.moveTo(reader, column);
      FailureOr<LaneValue> value = evaluator.evaluate(*storage->format()->value());
      if (failed(value))
        return noCode(op, *storage, evaluator);
      all = vector::InsertOp::create(b, evaluator.asFloats(*value), all, column);
    }
    op.replaceAllUsesWith(all);
    op.erase();
    return success();
  }

  LogicalResult emit(qf::TileDecodeOp tile) {
    auto type = dyn_cast<MemRefType>(tile.getW().getType());
    auto block = type ? dyn_cast<qf::BlockType>(type.getElementType()) : qf::BlockType();
    qf::TargetAttr target = qf::TargetAttr::of(tile);
    if (!block || !block.getKernelStorage() || !target)
      return tile.emitOpError("has no buffer of kernel storage, or its module no 'qf.target'");
    std::shared_ptr<const KernelStorage> storage = block.getKernelStorage();
    SmallVector<int64_t> strides;
    int64_t offset;
    if (failed(type.getStridesAndOffset(strides, offset)) || ShapedType::isDynamic(strides[0]))
      return tile.emitOpError("has a table whose rows are not contiguous");

    LaneBuilder b(tile, storage->rows());
    TableLookup lookup(getOperation(), target);
    LaneEvaluator evaluator(b, *storage, lookup);
    // The row is one lane of its row of blocks: all lanes are decoded, which costs little beside a matrix product.
    Value row = arith::IndexCastOp::create(b, b.getI64Type(), tile.getRow()), rows = b.i64(storage->rows());
    Value blocks = b.at(qf::AddressOp::create(b, b.pointer, tile.getW()), arith::DivUIOp::create(b, row, rows),
                        strides[0] * storage->bytes());
    Value lane = arith::IndexCastOp::create(b, b.getIndexType(), arith::RemUIOp::create(b, row, rows));
    std::unique_ptr<BlockReader> reader;
    SmallVector<Value> values;
    for (int64_t column = 0; column < tile.getRes().getType().getDimSize(1); column++) {
      const int64_t within = column % storage->columns();
      if (within == 0)
        reader =
            std::make_unique<BlockReader>(b, *storage, b.at(blocks, column / storage->columns() * storage->bytes()));
      evaluator.moveTo(*reader, within);
      FailureOr<LaneValue> value = evaluator.evaluate(*storage->format()->value());
      if (failed(value))
        return noCode(tile, *storage, evaluator);
      values.push_back(vector::ExtractOp::create(b, evaluator.asFloats(*value), OpFoldResult(lane)));
    }
    tile.replaceAllUsesWith(vector::FromElementsOp::create(b, tile.getRes().getType(), values).getResult());
    tile.erase();
    return success();
  }
};

} // namespace
