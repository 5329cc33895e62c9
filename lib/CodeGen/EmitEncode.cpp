//===- EmitEncode.cpp - quantization at run time: activations, and rows of the KV cache ------------------------===//

#include "BlockBytes.h"
#include "EncodeClause.h"
#include "RowWriter.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "quantc/CodeGen/Passes.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Format/Layout.h"

namespace quantc {
#define GEN_PASS_DEF_QFEMITENCODE
#include "quantc/CodeGen/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

/// A block as files have it, of whose fields the cells lie whole and one after the other.
class FileBlock : public CellStore {
public:
  FileBlock(LaneBuilder &b, const Format &format, const BlockLayout &layout, Value address)
      : b(b), format(format), layout(layout), address(address) {}

  Status store(const Field &field, const Cells &cells) override {
    std::optional<int64_t> start;
    for (const BitMove &move : layout.moves()) {
      if (move.field != &field)
        continue;
      if (!start)
        start = move.address - move.cell * field.width;
      if (move.transform || move.address != *start + move.cell * field.width + move.low)
        start = 1; // not at a byte
    }
    const bool isSupported = field.kind == FieldKind::F32 || field.kind == FieldKind::BF16 ||
                             (isInteger(field.kind) && (field.width == 8 || field.width == 16 || field.width == 32));
    if (!start || *start % 8 || !isSupported)
      return fail("field '{}' of '{}' cannot be stored at run time: it is no row of whole bytes, bf16 or f32",
                  field.name, format.spec());
    for (auto [i, value] : llvm::enumerate(cells.values)) {
      Value stored = value;
      const bool isVector = isa<VectorType>(value.getType());
      if (field.kind == FieldKind::BF16) {
        Type half = b.getBF16Type();
        stored = arith::TruncFOp::create(b, isVector ? Type(b.vectorOf(half)) : half, value);
      } else if (field.width < 32) {
        Type narrow = b.getIntegerType(field.width);
        stored = arith::TruncIOp::create(b, isVector ? Type(b.vectorOf(narrow)) : narrow, value);
      }
      b.store(stored, b.at(address, *start / 8 + static_cast<int64_t>(i) * (isVector ? b.lanes : 1) * field.width / 8));
    }
    return {};
  }

private:
  LaneBuilder &b;
  const Format &format;
  const BlockLayout &layout;
  Value address;
};

struct EmitEncodePass : quantc::impl::QFEmitEncodeBase<EmitEncodePass> {
  void runOnOperation() override {
    SmallVector<Operation *> ops;
    getOperation().walk([&](Operation *op) {
      if (isa<qf::EncodeOp, qf::EncodeRowOp>(op))
        ops.push_back(op);
    });
    for (Operation *op : ops) {
      auto encode = dyn_cast<qf::EncodeOp>(op);
      if (failed(encode ? emit(encode) : emit(cast<qf::EncodeRowOp>(op))))
        return signalPassFailure();
    }
  }

  static LogicalResult emit(qf::EncodeOp op) {
    auto type = dyn_cast<MemRefType>(op.getOut().getType());
    auto block = type ? dyn_cast<qf::BlockType>(type.getElementType()) : qf::BlockType();
    auto x = dyn_cast<VectorType>(op.getX().getType());
    SmallVector<int64_t> strides;
    int64_t offset;
    if (!block || !x || x.getDimSize(0) != 1 || failed(type.getStridesAndOffset(strides, offset)))
      return op.emitOpError("is no vectorized tile of one row on a buffer of blocks");
    constexpr int64_t lanes = 16;
    LaneBuilder b(op, lanes);
    Value row = vector::ExtractOp::create(b, op.getX(), 0), address = qf::AddressOp::create(b, b.pointer, op.getOut());
    std::shared_ptr<const Format> format = block.getFormat();
    Result<BlockLayout> layout = BlockLayout::create(*format);
    if (!layout)
      return op.emitOpError(layout.error().message);
    const int64_t width = block.getColumns();
    for (int64_t first = 0; first < x.getDimSize(1); first += width) {
      Value part = vector::ExtractStridedSliceOp::create(b, row, ArrayRef<int64_t>{first},
                                                         ArrayRef<int64_t>{std::min(width, x.getDimSize(1) - first)},
                                                         ArrayRef<int64_t>{1});
      FileBlock store(b, *format, *layout, b.at(address, first / width * block.getBytes()));
      if (Status status = emitEncodeClause(b, *format, width, part, store); !status)
        return op.emitOpError(status.error().message);
    }
    op.erase();
    return success();
  }

  static LogicalResult emit(qf::EncodeRowOp op) {
    auto block = cast<qf::BlockType>(op.getBlock());
    std::shared_ptr<const KernelStorage> storage = block.getKernelStorage();
    LaneBuilder b(op, storage->rows());
    RowWriter row(b, *storage, emitBlockAddress(b, op.getOut(), op.getAt()), op.getRow());
    if (Status status = emitEncodeClause(b, *storage->source(), storage->columns(), op.getX(), row); !status)
      return op.emitError(status.error().message); // users read it
    row.finish();
    op.erase();
    return success();
  }
};

} // namespace
