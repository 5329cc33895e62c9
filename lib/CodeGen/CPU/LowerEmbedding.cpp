//===- LowerEmbedding.cpp - rows that are copied: nn.embedding of float tables, nn.last ------------------------===//

#include "HeadRows.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "quantc/CodeGen/KernelPasses.h"

namespace quantc {
#define GEN_PASS_DEF_NNLOWEREMBEDDING
#include "quantc/CodeGen/KernelPasses.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

/// `out`, one row, filled with a row of `table`.
Value copyRow(VectorBuilder &b, Value table, Value row, Value out) {
  int64_t features = cast<RankedTensorType>(table.getType()).getDimSize(1);
  return forChunks(b, features, sumLanes, out, [&](Value at, int64_t width, Value slice) {
    return b.store(b.load(table, {row, at}, width), slice, {b.index(0), at});
  });
}

struct LowerEmbedding : quantc::impl::NNLowerEmbeddingBase<LowerEmbedding> {
  void runOnOperation() override {
    if (failed(checkLayers(getOperation())))
      return signalPassFailure();
    SmallVector<Operation *> ops;
    for (Operation &op : getOperation().getOps()) {
      auto embedding = dyn_cast<nn::EmbeddingOp>(op);
      if (isa<nn::LastOp>(op) || (embedding && isa<FloatType>(embedding.getTable().getType().getElementType())))
        ops.push_back(&op);
    }
    for (Operation *op : ops)
      lower(op);
  }

  static void lower(Operation *op) {
    VectorBuilder b(op->getLoc(), op);
    if (auto last = dyn_cast<nn::LastOp>(op)) {
      Value x = last.getX(), skipped = b.subIndex(b.size(x, 0), last.getRows());
      replaceByTokenLoop(last, last.getRows(), [&](VectorBuilder &b, Value token, Value out) {
        return copyRow(b, x, b.addIndex(token, skipped), out);
      });
      return;
    }
    auto embedding = cast<nn::EmbeddingOp>(op);
    Value tokens = embedding.getTokens(), table = embedding.getTable();
    replaceByTokenLoop(embedding, b.size(tokens, 0), [&](VectorBuilder &b, Value token, Value out) {
      Value id = tensor::ExtractOp::create(b, tokens, token);
      return copyRow(b, table, arith::IndexCastOp::create(b, b.getIndexType(), id), out);
    });
  }
};

} // namespace
