//===- TileBlocks.cpp - thread blocks, warps and steps of the sum by upstream tiling and fusion -------------------===//

#include "Fragments.h"
#include "Schedule.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/TileUsingInterface.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "quantc/CodeGen/NVPTX/Launch.h"
#include "quantc/CodeGen/NVPTX/Passes.h"
#include <numeric>

namespace quantc {
#define GEN_PASS_DEF_QFTILEBLOCKS
#include "quantc/CodeGen/NVPTX/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

struct TileBlocksPass : quantc::impl::QFTileBlocksBase<TileBlocksPass> {
  using QFTileBlocksBase::QFTileBlocksBase;

  void runOnOperation() override {
    // A function that is tiled has a schedule too; one whose sum is shared by blocks has only its loop over them.
    const bool hasBlocks = !getOperation().getOps<scf::ForallOp>().empty();
    if (sums().empty() || (hasBlocks && Schedule::of(getOperation())))
      return;
    if (failed(run(hasBlocks)))
      signalPassFailure();
  }

private:
  SmallVector<qf::ContractOp> sums() {
    SmallVector<qf::ContractOp> found;
    getOperation().walk([&](qf::ContractOp sum) { found.push_back(sum); });
    return found;
  }

  LogicalResult run(bool hasBlocks) {
    func::FuncOp function = getOperation();
    std::optional<Schedule> schedule = Schedule::of(function);
    if (!schedule) {
      qf::GPUTargetAttr target = qf::GPUTargetAttr::of(function);
      if (!target)
        return function.emitOpError("needs the attribute 'qf.gpu' of its module");
      FailureOr<Schedule> chosen = chooseSchedule(function, target, warpGroups);
      if (failed(chosen))
        return failure();
      chosen->record(function);
      schedule = *chosen;
    }
    if (auto most = function->getAttrOfType<IntegerAttr>(mostTokens);
        hasBlocks && (!most || schedule->blockTokens < most.getInt()))
      return function.emitOpError() << "has blocks of all its tokens, of which a block can have "
                                    << schedule->blockTokens;
    using gpu::MappingId;
    auto block = [&](MappingId id) -> Attribute { return gpu::GPUBlockMappingAttr::get(&getContext(), id); };
    auto warp = [&](MappingId id) -> Attribute { return gpu::GPUWarpMappingAttr::get(&getContext(), id); };
    const Attribute warps[] = {warp(MappingId::LinearDim1), warp(MappingId::LinearDim0)};
    if (!hasBlocks && failed(tileAndFuse({schedule->blockTokens, schedule->blockRows},
                                         {block(MappingId::DimY), block(MappingId::DimX)})))
      return failure();
    if (schedule->parts > 1)
      for (qf::ContractOp sum : sums())
        if (failed(split(sum, *schedule, warps[1])))
          return failure();
    if (failed(tileAndFuse({schedule->warpTokens, schedule->warpRows}, warps)))
      return failure();
    for (qf::ContractOp sum : sums())
      if (failed(step(sum, schedule->columns)))
        return failure();
    return success();
  }

  scf::SCFTilingOptions options(ArrayRef<int64_t> sizes, ArrayRef<Attribute> mapping = {}) {
    scf::SCFTilingOptions tiling;
    tiling.setTileSizes(getAsIndexOpFoldResult(&getContext(), sizes));
    if (!mapping.empty())
      tiling.setLoopType(scf::SCFTilingOptions::LoopType::ForallOp).setMapping(mapping);
    return tiling;
  }

  /// Tiles the last operation and fuses everything that it needs.
  LogicalResult tileAndFuse(ArrayRef<int64_t> sizes, ArrayRef<Attribute> mapping) {
    TilingInterface root;
    getOperation().walk([&](TilingInterface op) { root = op; });
    SmallVector<Attribute> used;
    for (auto [size, id] : llvm::zip(sizes, mapping))
      if (size)
        used.push_back(id);
    IRRewriter rewriter(root);
    scf::SCFTileAndFuseOptions fuse;
    fuse.tilingOptions = options(sizes, used);
    auto tiled = scf::tileConsumerAndFuseProducersUsingSCF(rewriter, root, fuse);
    if (failed(tiled))
      return root->emitOpError("cannot be tiled");
    for (auto [from, to] : tiled->replacements)
      rewriter.replaceAllUsesWith(from, to);
    OpPassManager cleanUp("func.func");
    cleanUp.addPass(createCanonicalizerPass());
    cleanUp.addPass(createCSEPass());
    return runPipeline(cleanUp, getOperation());
  }

  /// Warps compute parts of the sum, which all of them see; one adds the parts. Columns are dealt out by whole units of
  /// storage and whole steps: equal parts first, then what is left, one unit to each of the first warps.
  LogicalResult split(qf::ContractOp sum, const Schedule &schedule, Attribute warps) {
    IRRewriter rewriter(sum);
    FailureOr<FragmentStorage> storage = fragmentsOf(sum, cast<qf::ElemType>(getElementTypeOrSelf(sum.getW())));
    if (failed(storage))
      return failure();
    const int64_t K = cast<RankedTensorType>(sum.getX().getType()).getDimSize(1), tokens = schedule.blockTokens;
    const int64_t unit = std::lcm(schedule.columns, static_cast<int64_t>(storage->columns()));
    const int64_t part = K / (schedule.parts * unit) * unit, equal = schedule.parts * part;
    const OpFoldResult tokensHere = tensor::getMixedSize(rewriter, sum.getLoc(), sum.getX(), 0);
    Value x = sum.getX(), w = sum.getW();
    if (equal != K) {
      sum.getXMutable().assign(columnsOf(rewriter, x, rewriter.getIndexAttr(0), equal));
      sum.getWMutable().assign(columnsOf(rewriter, w, rewriter.getIndexAttr(0), equal));
    }
    scf::SCFTilingOptions tiling = options({0, 0, part}, warps);
    tiling.setReductionTilingStrategy(ReductionTilingStrategy::PartialReductionOuterParallel).setReductionDims({2});
    auto tiled = scf::tileUsingSCF(rewriter, cast<TilingInterface>(sum.getOperation()), tiling);
    if (failed(tiled))
      return sum.emitOpError("cannot be split along its sum");
    if (equal != K)
      addRest(rewriter, cast<qf::ContractOp>(tiled->tiledOps.front()), x, w, equal, unit);
    rewriter.replaceOp(sum, tiled->replacements);
    auto space = gpu::AddressSpaceAttr::get(&getContext(), gpu::GPUDialect::getWorkgroupAddressSpace());
    for (Value init : tiled->initialValues) {
      rewriter.setInsertionPoint(init.getDefiningOp());
      auto type = cast<RankedTensorType>(init.getType());
      SmallVector<int64_t> most(type.getShape());
      llvm::replace(most, ShapedType::kDynamic, tokens);
      auto shared = bufferization::AllocTensorOp::create(rewriter, init.getLoc(), type.clone(most), ValueRange{});
      shared.setMemorySpaceAttr(space);
      Value part = shared;
      if (!type.hasStaticShape()) {
        const OpFoldResult zero = rewriter.getIndexAttr(0), one = rewriter.getIndexAttr(1);
        SmallVector<OpFoldResult> sizes = getAsIndexOpFoldResult(&getContext(), type.getShape());
        for (int64_t dim = 0; dim < type.getRank(); dim++)
          if (type.isDynamicDim(dim))
            sizes[dim] = tokensHere;
        part = tensor::ExtractSliceOp::create(rewriter, init.getLoc(), type, shared, SmallVector<OpFoldResult>(3, zero),
                                              sizes, SmallVector<OpFoldResult>(3, one));
      }
      rewriter.replaceOp(init.getDefiningOp(), part);
    }
    return success();
  }

  /// Columns of a matrix from `first` on.
  static Value columnsOf(OpBuilder &b, Value matrix, OpFoldResult first, int64_t count) {
    SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(b, matrix.getLoc(), matrix);
    sizes[1] = b.getIndexAttr(count);
    const OpFoldResult zero = b.getIndexAttr(0), one = b.getIndexAttr(1);
    return tensor::ExtractSliceOp::create(b, matrix.getLoc(), matrix, {zero, first}, sizes, {one, one});
  }

  /// Adds to the part of a warp what the first warps have of the columns behind the equal parts: a loop of one or no
  /// iteration.
  static void addRest(IRRewriter &rewriter, qf::ContractOp part, Value x, Value w, int64_t equal, int64_t unit) {
    Location loc = part.getLoc();
    auto warps = part->getParentOfType<scf::ForallOp>();
    const int64_t size = cast<RankedTensorType>(part.getX().getType()).getDimSize(1);
    const int64_t K = cast<RankedTensorType>(x.getType()).getDimSize(1);
    // Views of the whole, so that it is staged once.
    for (auto [operand, whole] : {std::pair(&part.getXMutable(), x), {&part.getWMutable(), w}})
      operand->get().getDefiningOp<tensor::ExtractSliceOp>().getSourceMutable().assign(whole);
    rewriter.setInsertionPointAfter(part);
    AffineExpr begin = rewriter.getAffineDimExpr(0).floorDiv(size) * unit + equal;
    Value first = affine::makeComposedAffineApply(rewriter, loc, begin, {warps.getInductionVar(0)});
    auto constant = [&](int64_t v) { return arith::ConstantIndexOp::create(rewriter, loc, v).getResult(); };
    auto loop =
        scf::ForOp::create(rewriter, loc, first, constant(K), constant(equal / size * unit), part->getResult(0));
    rewriter.replaceAllUsesExcept(part->getResult(0), loop.getResult(0), loop);
    rewriter.setInsertionPointToStart(loop.getBody());
    Value k = loop.getInductionVar();
    Value xOfStep = columnsOf(rewriter, x, k, unit), wOfStep = columnsOf(rewriter, w, k, unit);
    auto rest = cast<qf::ContractOp>(rewriter.clone(*part));
    rest->setOperands({xOfStep, wOfStep, loop.getRegionIterArg(0)});
    scf::YieldOp::create(rewriter, loc, rest->getResults());
  }

  LogicalResult step(qf::ContractOp sum, int64_t columns) {
    IRRewriter rewriter(sum);
    auto tiled = scf::tileUsingSCF(rewriter, cast<TilingInterface>(sum.getOperation()), options({0, 0, columns}));
    if (failed(tiled))
      return sum.emitOpError("cannot be tiled along its sum");
    rewriter.replaceOp(sum, tiled->replacements);
    return success();
  }
};

} // namespace
