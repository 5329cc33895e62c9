//===- Tile.cpp - loops by upstream tiling and fusion ---------------------------------------------------------===//

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Affine/Utils.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/TileUsingInterface.h"
#include "mlir/Dialect/SCF/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "quantc/CodeGen/Passes.h"
#include "quantc/CodeGen/TileSizes.h"
#include "quantc/Dialect/QF/QF.h"

namespace quantc {
#define GEN_PASS_DEF_QFTILE
#include "quantc/CodeGen/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

using Loops = SmallVector<LoopLikeOpInterface>;

/// Tilable ops with one matrix result that no tilable op uses.
SmallVector<TilingInterface> findRoots(func::FuncOp function) {
  SmallVector<TilingInterface> roots;
  function.walk([&](TilingInterface op) {
    if (op->getNumResults() == 1 && llvm::none_of(op->getUsers(), llvm::IsaPred<TilingInterface>))
      roots.push_back(op);
  });
  return roots;
}

/// Tiles of the roots, which carry their sizes; `dynamicDim`: only those whose size in this dimension is not static.
SmallVector<TilingInterface> findTiles(func::FuncOp function, std::optional<unsigned> dynamicDim = {}) {
  SmallVector<TilingInterface> tiles;
  function.walk([&](TilingInterface op) {
    if (op->hasAttr(TileSizes::attribute) &&
        (!dynamicDim || cast<ShapedType>(op->getResult(0).getType()).isDynamicDim(*dynamicDim)))
      tiles.push_back(op);
  });
  return tiles;
}

struct TilePass : quantc::impl::QFTileBase<TilePass> {
  using QFTileBase::QFTileBase;

  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (!function.getOps<scf::ForallOp>().empty())
      return;
    for (TilingInterface root : findRoots(function)) {
      FailureOr<TileSizes> sizes = chooseTileSizes(root, tiles);
      if (failed(sizes))
        return signalPassFailure();
      sizes->record(root);
    }
    if (failed(tileTasks(function)) || failed(cleanUp(function)) || failed(tileRegisters(function)) ||
        failed(cleanUp(function)) || failed(fixRestRows(function)) || failed(cleanUp(function)) ||
        failed(tileRestTokens(function)) || failed(tileSums(function)))
      signalPassFailure();
  }

  LogicalResult cleanUp(func::FuncOp function) {
    OpPassManager manager("func.func");
    manager.addPass(createCanonicalizerPass());
    manager.addPass(createCSEPass());
    return runPipeline(manager, function);
  }

  /// Tiles `root` and fuses all its producers into the loops.
  static FailureOr<Loops> tileAndFuse(TilingInterface root, ArrayRef<int64_t> sizes, bool forall) {
    IRRewriter rewriter(root);
    scf::SCFTileAndFuseOptions options;
    options.tilingOptions.setTileSizes(getAsIndexOpFoldResult(rewriter.getContext(), sizes));
    if (forall)
      options.tilingOptions.setLoopType(scf::SCFTilingOptions::LoopType::ForallOp);
    else
      options.tilingOptions.setInterchange({1, 0}); // tokens innermost: weights stay in the nearest cache
    auto tiled = scf::tileConsumerAndFuseProducersUsingSCF(rewriter, root, options);
    if (failed(tiled)) {
      root->emitOpError("cannot be tiled");
      return failure();
    }
    for (auto [from, to] : tiled->replacements)
      rewriter.replaceAllUsesWith(from, to);
    return tiled->loops;
  }

  /// The same, with what is left over at the end of each loop peeled into a loop of its own, from the innermost loop
  /// on.
  static LogicalResult tileAndPeel(TilingInterface root, ArrayRef<int64_t> sizes) {
    FailureOr<Loops> loops = tileAndFuse(root, sizes, /*forall=*/false);
    if (failed(loops))
      return failure();
    for (LoopLikeOpInterface loop : llvm::reverse(*loops)) {
      IRRewriter rewriter(loop);
      scf::ForOp rest; // peeling fails where nothing is left over
      (void)scf::peelForLoopAndSimplifyBounds(rewriter, cast<scf::ForOp>(loop), rest);
    }
    return success();
  }

  LogicalResult tileTasks(func::FuncOp function) {
    for (TilingInterface root : findTiles(function)) {
      TileSizes sizes = TileSizes::of(root);
      if (failed(tileAndFuse(root, {sizes.taskTokens, sizes.taskRows}, /*forall=*/true)))
        return failure();
    }
    return success();
  }

  LogicalResult tileRegisters(func::FuncOp function) {
    for (TilingInterface tile : findTiles(function)) {
      TileSizes sizes = TileSizes::of(tile);
      if (failed(tileAndPeel(tile, {sizes.tokens, sizes.rows})))
        return failure();
    }
    return success();
  }

  /// The size of a tile in one dimension, that of the slice behind its destination.
  static Value sizeOf(TilingInterface tile, unsigned dim) {
    Value destination = cast<DestinationStyleOpInterface>(*tile).getDpsInits().front();
    while (auto producer = destination.getDefiningOp<DestinationStyleOpInterface>())
      destination = producer.getDpsInits().front();
    auto slice = destination.getDefiningOp<tensor::ExtractSliceOp>();
    return slice ? dyn_cast<Value>(slice.getMixedSizes()[dim]) : Value();
  }

  /// Tasks begin at whole blocks of rows, so that the rows left over in the last one are N modulo a block. Upstream
  /// sees only a dynamic size.
  LogicalResult fixRestRows(func::FuncOp function) {
    for (TilingInterface tile : findTiles(function, /*dynamicDim=*/1)) {
      Value size = sizeOf(tile, 1);
      if (!size)
        return tile->emitOpError("has rows of unknown number");
      IRRewriter rewriter(&getContext());
      rewriter.setInsertionPointAfterValue(size);
      rewriter.replaceAllUsesWith(
          size, arith::ConstantIndexOp::create(rewriter, tile.getLoc(), TileSizes::of(tile).restRows));
    }
    return success();
  }

  /// A rest of tokens of unknown number goes by sixteen, by four and by one.
  LogicalResult tileRestTokens(func::FuncOp function) {
    for (int64_t tokens : {16, 4, 1}) {
      for (TilingInterface tile : findTiles(function, /*dynamicDim=*/0)) {
        if (tokens >= TileSizes::of(tile).tokens)
          continue;
        hideSize(sizeOf(tile, 0));
        if (failed(tileAndPeel(tile, {tokens, 0})))
          return failure();
      }
      if (failed(cleanUp(function)))
        return failure();
    }
    return success();
  }

  /// Peeling recognizes the bound of a loop in the size of its last tile only where the bound is not an affine
  /// expression itself, which would be composed into that size.
  static void hideSize(Value size) {
    auto apply = size ? size.getDefiningOp<affine::AffineApplyOp>() : affine::AffineApplyOp();
    if (!apply)
      return;
    IRRewriter rewriter(apply);
    if (auto values = affine::expandAffineMap(rewriter, apply.getLoc(), apply.getAffineMap(), apply.getMapOperands()))
      rewriter.replaceOp(apply, *values);
  }

  LogicalResult tileSums(func::FuncOp function) {
    SmallVector<qf::ContractOp> sums;
    function.walk([&](qf::ContractOp sum) { sums.push_back(sum); });
    for (qf::ContractOp sum : sums) {
      FailureOr<int64_t> columns = sumColumns(sum);
      if (failed(columns))
        return failure();
      IRRewriter rewriter(sum);
      scf::SCFTilingOptions options;
      options.setTileSizes(getAsIndexOpFoldResult(&getContext(), {0, 0, *columns}));
      auto tiled = scf::tileUsingSCF(rewriter, cast<TilingInterface>(sum.getOperation()), options);
      if (failed(tiled))
        return sum.emitOpError("cannot be tiled");
      rewriter.replaceOp(sum, tiled->replacements);
      scf::ForOp rest;
      if (!tiled->loops.empty())
        (void)scf::peelForLoopAndSimplifyBounds(rewriter, cast<scf::ForOp>(tiled->loops.front()), rest);
    }
    return success();
  }
};

} // namespace
