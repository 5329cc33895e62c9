//===- TileBody.cpp - what the bodies of a register tile have in common -----------------------------------------===//

#include "TileBody.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;
using namespace quantc;

/// Bytes from one row of a matrix to the next; nothing where that is not known.
static std::optional<int64_t> rowStride(MemRefType type) {
  SmallVector<int64_t> strides;
  int64_t offset;
  if (failed(type.getStridesAndOffset(strides, offset)) || ShapedType::isDynamic(strides[0]) || strides[1] != 1)
    return {};
  auto block = dyn_cast<qf::BlockType>(type.getElementType());
  return strides[0] * (block ? block.getBytes() : 4);
}

FailureOr<TileBody> TileBody::create(qf::TileDotOp op, LaneBuilder &b) {
  auto x = dyn_cast<MemRefType>(op.getX().getType()), w = dyn_cast<MemRefType>(op.getW().getType());
  auto block = w ? dyn_cast<qf::BlockType>(w.getElementType()) : qf::BlockType();
  if (!x || !block || !block.getKernelStorage())
    return op.emitOpError("has no buffers of kernel storage yet");
  std::optional<int64_t> stride = rowStride(x), groupStride = rowStride(w);
  if (!stride || !groupStride)
    return op.emitOpError("has a tile whose rows are not contiguous");
  TileBody body(op, b, block.getKernelStorage());
  body.tokenCount = op.getAcc().getType().getDimSize(0);
  body.rowCount = op.getAcc().getType().getDimSize(1);
  body.columnCount = op.getColumns();
  body.tokenStride = *stride;
  body.groupStride = *groupStride;
  body.x = qf::AddressOp::create(b, b.pointer, op.getX());
  body.w = qf::AddressOp::create(b, b.pointer, op.getW());
  body.blocks.resize(body.groups() * llvm::divideCeil(body.columnCount, body.storage->columns()));
  return body;
}

TileBody TileBody::withBlocks(Value matrix) const {
  TileBody other(op, *b, storage);
  other.tokenCount = tokenCount;
  other.columnCount = columnCount;
  other.rowCount = rowCount;
  other.tokenStride = tokenStride;
  other.groupStride = groupStride;
  other.x = x;
  other.w = qf::AddressOp::create(*b, b->pointer, matrix);
  other.blocks.resize(blocks.size());
  return other;
}

BlockReader &TileBody::block(int64_t column, int64_t group) {
  std::unique_ptr<BlockReader> &block = blocks[column / storage->columns() * groups() + group];
  if (!block)
    block = std::make_unique<BlockReader>(reader(blockAddress(column, group)));
  return *block;
}

Value TileBody::blockAddress(int64_t column, int64_t group) const {
  return b->at(w, group * groupStride + column / storage->columns() * storage->bytes());
}

BlockReader TileBody::reader(Value address) const {
  // Each load of an unrolled body steps over whole blocks, so processors do not see the one stream that all of them
  // read. The distance is measured (docs/Rationale.md, "Weights are prefetched").
  constexpr int64_t ahead = 4096;
  return BlockReader(*b, *storage, address, ahead);
}

Value TileBody::scratch(int64_t count) const {
  OpBuilder::InsertionGuard guard(*b);
  b->setInsertionPointToStart(&op->getParentOfType<func::FuncOp>().getBody().front());
  return LLVM::AllocaOp::create(*b, b->pointer, b->f32s, b->i64(count), /*alignment=*/64);
}

static LLVM::LoopAnnotationAttr neverUnrolled(LaneBuilder &b) {
  auto unroll = LLVM::LoopUnrollAttr::get(b.getContext(), b.getBoolAttr(true), {}, {}, {}, {}, {}, {});
  return LLVM::LoopAnnotationAttr::get(b.getContext(), {}, {}, {}, unroll, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {});
}

LogicalResult TileBody::loop(int64_t steps, SmallVectorImpl<Value> &carried,
                             function_ref<LogicalResult(Value, MutableArrayRef<Value>)> emitPass) {
  auto index = [&](int64_t i) -> Value { return arith::ConstantIndexOp::create(*b, i); };
  auto loop = scf::ForOp::create(*b, index(0), index(steps), index(1), carried);
  loop->setAttr("loop_annotation", neverUnrolled(*b));
  OpBuilder::InsertionGuard guard(*b);
  b->setInsertionPointToStart(loop.getBody());
  Value i = arith::IndexCastOp::create(*b, b->getI64Type(), loop.getInductionVar());
  SmallVector<Value> values(loop.getRegionIterArgs());
  if (failed(emitPass(i, values)))
    return failure();
  if (!values.empty()) // otherwise the loop has its terminator
    scf::YieldOp::create(*b, values);
  carried.assign(loop.result_begin(), loop.result_end());
  return success();
}

void TileBody::forAccumulators(function_ref<void(int64_t, int64_t, int64_t)> body) const {
  for (int64_t row = 0; row < rowCount; row += b->lanes)
    for (int64_t t = 0; t < tokenCount; t++)
      body(t, row, std::min(b->lanes, rowCount - row));
}

SmallVector<Value> TileBody::accumulators() {
  SmallVector<Value> sums;
  forAccumulators([&](int64_t t, int64_t row, int64_t rows) {
    Value sum = b->part(vector::ExtractOp::create(*b, op.getAcc(), t), row, rows);
    sums.push_back(rows == b->lanes ? sum : b->insert(sum, b->splat(0.0f), 0));
  });
  return sums;
}

void TileBody::finish(ArrayRef<Value> sums) {
  Value result = op.getAcc();
  forAccumulators([&](int64_t t, int64_t row, int64_t rows) {
    Value piece = b->part(sums.consume_front(), 0, rows);
    Value whole = rows == rowCount ? piece : b->insert(piece, vector::ExtractOp::create(*b, result, t), row);
    result = vector::InsertOp::create(*b, whole, result, t);
  });
  op.replaceAllUsesWith(result);
  op.erase();
}
