//===- TileBody.h - what the bodies of a register tile have in common -------------------------------------------===//
#pragma once

#include "BlockReader.h"
#include "LaneEvaluator.h"
#include "Lookup.h"

namespace quantc {

/// Operands of one `qf.tile_dot` on buffers, as code that emits its body needs them.
class TileBody {
public:
  /// Emits an error where the tile does not lie as expected.
  static mlir::FailureOr<TileBody> create(qf::TileDotOp op, LaneBuilder &b);

  /// The same tile with other blocks: of the same shape, read where `b` stands now.
  TileBody withBlocks(mlir::Value matrix) const;

  int64_t tokens() const { return tokenCount; }
  /// Blocks of rows, one below the other.
  int64_t groups() const { return llvm::divideCeil(rowCount, b->lanes); }
  int64_t columns() const { return columnCount; }
  /// Bytes from one token of x to the next.
  int64_t stride() const { return tokenStride; }

  /// Bytes of the x of token t from byte `offset` of its row on; `base`: of token 0, where it is another row of x.
  mlir::Value token(int64_t t, int64_t offset) const { return token(x, t, offset); }
  mlir::Value token(mlir::Value base, int64_t t, int64_t offset) const { return b->at(base, t * tokenStride + offset); }
  /// The block of kernel storage of column c, in a group of rows; it keeps what was read of it.
  BlockReader &block(int64_t column, int64_t group = 0);

  /// The address of the block of column c.
  mlir::Value blockAddress(int64_t column, int64_t group = 0) const;

  /// A reader of another block, at an address.
  BlockReader reader(mlir::Value address) const;

  /// Memory of the stack for `count` vectors of lanes.
  mlir::Value scratch(int64_t count) const;

  /// A loop of `steps` passes that carries vectors: emitPass(i, carried) emits a pass and changes them; i is an i64.
  /// LLVM leaves it a loop: what it would gain by unrolling is lost in code size and spilled registers.
  mlir::LogicalResult
  loop(int64_t steps, llvm::SmallVectorImpl<mlir::Value> &carried,
       llvm::function_ref<mlir::LogicalResult(mlir::Value i, llvm::MutableArrayRef<mlir::Value> carried)> emitPass);

  /// Accumulators, one vector of all lanes for each token of the first group, then of the next. A tile at the edge of N
  /// has fewer rows than lanes.
  llvm::SmallVector<mlir::Value> accumulators();
  /// Replaces the op by the accumulators.
  void finish(llvm::ArrayRef<mlir::Value> accumulators);

private:
  TileBody(qf::TileDotOp op, LaneBuilder &b, std::shared_ptr<const KernelStorage> storage)
      : op(op), b(&b), storage(std::move(storage)) {}

  qf::TileDotOp op;
  LaneBuilder *b;
  std::shared_ptr<const KernelStorage> storage;
  /// Calls `body` with each accumulator's token, its group's first row and number of rows.
  void forAccumulators(llvm::function_ref<void(int64_t token, int64_t row, int64_t rows)> body) const;

  int64_t tokenCount = 0, columnCount = 0, rowCount = 0, tokenStride = 0, groupStride = 0;
  mlir::Value x, w;
  std::vector<std::unique_ptr<BlockReader>> blocks;
};

/// With f32 activations, or bf16 ones, which are kept as f32 too: `value` as written, columns ascending. Emits an error
/// where it has no code.
mlir::LogicalResult emitFloatTile(qf::TileDotOp op, LaneBuilder &b, const KernelStorage &storage,
                                  const TableLookup &lookup);

/// With activations in codes: dot products by the normal form. Emits an error where the format has none.
mlir::LogicalResult emitDotTile(qf::TileDotOp op, LaneBuilder &b, const KernelStorage &storage,
                                const TableLookup &lookup, qf::TargetAttr target);

} // namespace quantc
