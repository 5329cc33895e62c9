//===- CodedCache.cpp - keys or values of the KV cache in a format ----------------------------------------------===//

#include "CodedCache.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "quantc/Dialect/NN/Cache.h"

using namespace mlir;
using namespace quantc;

bool CodedCache::isCoded(Value cache) {
  return isa<qf::ElemType>(cast<RankedTensorType>(cache.getType()).getElementType());
}

void CodedCache::updateKernelType(Operation *op) {
  auto function = op->getParentOfType<func::FuncOp>();
  function.setType(FunctionType::get(function.getContext(), function.front().getArgumentTypes(),
                                     function.front().getTerminator()->getOperandTypes()));
}

FailureOr<CodedCache> CodedCache::create(VectorBuilder &b, Operation *op, Value cache) {
  auto function = op->getParentOfType<func::FuncOp>();
  auto type = cast<RankedTensorType>(cache.getType());
  if (!isa<BlockArgument>(cache) || cast<BlockArgument>(cache).getOwner() != &function.front())
    return op->emitOpError("reads or writes a cache in a format, which must be a parameter of its kernel");
  qf::BlockType block = nn::cacheBlock(type);
  const int64_t heads = type.getDimSize(0), positions = type.getDimSize(1), features = type.getDimSize(2);
  const int64_t blocks = llvm::divideCeil(features, block.getColumns());
  // By position, as the runtime counts: a group of positions has as many bytes as its positions together.
  const int64_t perPosition = blocks * block.getBytes() / nn::keyGroup;
  cache.setType(RankedTensorType::get({heads, positions, perPosition}, b.getI8Type()));
  updateKernelType(op);

  const bool isDynamic = ShapedType::isDynamic(positions);
  OpFoldResult groups = b.getIndexAttr(isDynamic ? 0 : positions / nn::keyGroup);
  if (isDynamic)
    groups = b.divIndex(b.size(cache, 1), nn::keyGroup);
  Value flat = tensor::CollapseShapeOp::create(b, cache, ArrayRef<ReassociationIndices>{{0}, {1, 2}});
  auto grouped = RankedTensorType::get(
      {heads, isDynamic ? positions : positions / nn::keyGroup, blocks, block.getBytes()}, b.getI8Type());
  SmallVector<OpFoldResult> shape{b.getIndexAttr(heads), groups, b.getIndexAttr(blocks),
                                  b.getIndexAttr(block.getBytes())};
  Value expanded =
      tensor::ExpandShapeOp::create(b, grouped, flat, ArrayRef<ReassociationIndices>{{0}, {1, 2, 3}}, shape);
  return CodedCache(cache, expanded, block, features);
}

Value CodedCache::ungroup(VectorBuilder &b, Value blocks) const {
  auto type = cast<RankedTensorType>(parameter.getType());
  Value flat = tensor::CollapseShapeOp::create(b, blocks, ArrayRef<ReassociationIndices>{{0}, {1, 2, 3}});
  SmallVector<OpFoldResult> shape{b.getIndexAttr(type.getDimSize(0)), getAsOpFoldResult(b.size(parameter, 1)),
                                  b.getIndexAttr(type.getDimSize(2))};
  return tensor::ExpandShapeOp::create(b, type, flat, ArrayRef<ReassociationIndices>{{0}, {1, 2}}, shape);
}

Value CodedCache::encode(VectorBuilder &b, Value row, Value tile, Value head, Value lane) const {
  Value zero = b.index(0);
  for (int64_t i = 0; i < blocksOfHead(); ++i) {
    const int64_t first = i * block.getColumns();
    Value part = b.slice(row, first, std::min(block.getColumns(), features - first));
    tile = qf::EncodeRowOp::create(b, TypeRange(tile.getType()), part, lane, TypeAttr::get(block), tile,
                                   ValueRange{head, zero, b.index(i)})
               ->getResult(0);
  }
  return tile;
}

void CodedCache::decodeBlocks(VectorBuilder &b, Value head, Value group,
                              function_ref<void(Value first, Value values)> each) const {
  b.loop(b.index(0), b.index(blocksOfHead()), b.index(1), {}, [&](Value i, ValueRange) -> VectorBuilder::Values {
    Value values = qf::DecodeBlockOp::create(b, VectorType::get({block.getColumns(), nn::keyGroup}, b.getF32Type()),
                                             grouped, ValueRange{head, group, i}, TypeAttr::get(block));
    each(b.mulIndex(i, block.getColumns()), values);
    return {};
  });
}

void CodedCache::decode(VectorBuilder &b, Value head, Value group, Value panel, int64_t firstRow) const {
  decodeBlocks(b, head, group, [&](Value first, Value values) {
    for (int64_t c = 0; c < block.getColumns(); ++c)
      vector::StoreOp::create(b, vector::ExtractOp::create(b, values, ArrayRef{c}), panel,
                              ValueRange{b.addIndex(first, firstRow + c), b.index(0)});
  });
}

void CodedCache::decodeTransposed(VectorBuilder &b, Value head, Value group, Value panel) const {
  decodeBlocks(b, head, group, [&](Value first, Value values) {
    for (int64_t column = 0; column < block.getColumns(); column += nn::keyGroup) {
      VectorBuilder::Values rows;
      for (int64_t c = 0; c < nn::keyGroup; ++c)
        rows.push_back(vector::ExtractOp::create(b, values, ArrayRef{column + c}));
      for (auto [position, row] : llvm::enumerate(b.transpose(rows)))
        vector::StoreOp::create(b, row, panel, ValueRange{b.index(position), b.addIndex(first, column)});
    }
  });
}
