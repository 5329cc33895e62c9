//===- MapWarps.cpp - operands through shared memory, loops over warps to ids -------------------------------------===//

#include "Fragments.h"
#include "WarpGroup.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/GPU/TransformOps/GPUTransformOps.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/MemRef/Transforms/Transforms.h"
#include "mlir/Dialect/NVGPU/IR/NVGPUDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Utils/Utils.h"
#include "mlir/Dialect/Transform/Interfaces/TransformInterfaces.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "quantc/CodeGen/NVPTX/Passes.h"
#include <numeric>

namespace quantc {
#define GEN_PASS_DEF_QFMAPWARPS
#include "quantc/CodeGen/NVPTX/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

MemRefType typeOf(Value v) {
  return cast<MemRefType>(v.getType());
}

/// Rows of a parameter that is padded, but not in memory.
struct RowsInMemory {
  std::optional<int64_t> pitch; ///< numbers of a row; nothing: it is not padded
  Value column;                 ///< where a view of it begins

  RowsInMemory(ImplicitLocOpBuilder &b, Value view) {
    SmallVector<memref::SubViewOp> parts;
    while (auto part = view.getDefiningOp<memref::SubViewOp>()) {
      parts.push_back(part);
      view = part.getSource();
    }
    const auto [strides, offset] = typeOf(view).getStridesAndOffset();
    if (strides.size() != 2 || strides[0] >= typeOf(view).getDimSize(1))
      return;
    pitch = strides[0];
    column = arith::ConstantIndexOp::create(b, 0);
    for (memref::SubViewOp part : parts)
      column =
          arith::AddIOp::create(b, column, getValueOrCreateConstantIndexOp(b, b.getLoc(), part.getMixedOffsets()[1]));
  }
};

class Builder : public ImplicitLocOpBuilder {
public:
  using ImplicitLocOpBuilder::ImplicitLocOpBuilder;

  Value index(int64_t i) { return arith::ConstantIndexOp::create(*this, i); }
  Value shared(ArrayRef<int64_t> shape, Type element) {
    auto space = gpu::AddressSpaceAttr::get(getContext(), gpu::GPUDialect::getWorkgroupAddressSpace());
    return memref::AllocOp::create(*this, MemRefType::get(shape, element, AffineMap(), space));
  }
  Value subview(Value v, ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes) {
    return memref::SubViewOp::create(*this, v, offsets, sizes,
                                     SmallVector<OpFoldResult>(offsets.size(), getIndexAttr(1)));
  }
  Value subview(Value v, ArrayRef<OpFoldResult> offsets, ArrayRef<int64_t> sizes) {
    return subview(v, offsets, getAsIndexOpFoldResult(getContext(), sizes));
  }

  Value isInRow(const RowsInMemory &rows, Value column) {
    column = arith::AddIOp::create(*this, rows.column, column);
    return arith::CmpIOp::create(*this, arith::CmpIPredicate::ult, column, index(*rows.pitch));
  }

  /// The number `i` columns further on, where rows are aligned to nothing that an asynchronous copy can have.
  void copyNumber(Value from, SmallVector<Value> source, Value to, SmallVector<Value> at, int64_t i,
                  const RowsInMemory &rows) {
    for (SmallVector<Value> *place : {&source, &at})
      place->back() = arith::AddIOp::create(*this, place->back(), index(i));
    auto number = scf::IfOp::create(
        *this, isInRow(rows, source.back()),
        [&](OpBuilder &b, Location loc) {
          scf::YieldOp::create(b, loc, memref::LoadOp::create(b, loc, from, source).getResult());
        },
        [&](OpBuilder &b, Location loc) {
          Value zero = arith::ConstantOp::create(b, loc, b.getZeroAttr(typeOf(from).getElementType()));
          scf::YieldOp::create(b, loc, zero);
        });
    memref::StoreOp::create(*this, number.getResult(0), to, at);
  }

  using Place = function_ref<SmallVector<Value>(ValueRange at)>;

  /// All threads copy `shape` of `from` to `to`, 16 bytes at a time, or as many as the rows in memory are aligned to,
  /// each to its `place` (none: as in `from`). Rows past the end of `from` are its last one: any will do, as their
  /// results are not stored. Columns past the end of a row in memory are zeros; such rows have no places of their own.
  void copyTogether(Value from, Value to, SmallVector<int64_t> shape, int64_t threads, SmallVector<Value> &tokens,
                    Place place = {}) {
    MemRefType type = typeOf(to);
    const RowsInMemory rows(*this, from);
    int64_t elements = 128 / type.getElementTypeBitWidth();
    if (rows.pitch)
      elements = std::gcd(elements, *rows.pitch);
    const bool isAsync = elements > 1; // of numbers of 16 bits
    elements = std::max<int64_t>(elements, 2);
    shape.back() /= elements;
    const int64_t total = computeProduct(shape);
    Value thread = gpu::ThreadIdOp::create(*this, gpu::Dimension::x);
    auto copyOne = [&](Value chunk) -> Value {
      SmallVector<Value> at(shape.size());
      for (int64_t dim = static_cast<int64_t>(shape.size()) - 1; dim > 0; dim--) {
        at[dim] = arith::RemUIOp::create(*this, chunk, index(shape[dim]));
        chunk = arith::DivUIOp::create(*this, chunk, index(shape[dim]));
      }
      at[0] = chunk;
      at.back() = arith::MulIOp::create(*this, at.back(), index(elements));
      SmallVector<Value> source(at);
      if (typeOf(from).getDimSize(0) != shape[0]) {
        Value last = arith::SubIOp::create(*this, memref::DimOp::create(*this, from, 0), index(1));
        source[0] = arith::MinUIOp::create(*this, source[0], last);
      }
      if (!isAsync) {
        for (int64_t i = 0; i < elements; i++)
          copyNumber(from, source, to, at, i, rows);
        return {};
      }
      Value inside = rows.pitch ? isInRow(rows, source.back()) : Value(), count;
      if (inside)
        count = arith::SelectOp::create(*this, inside, index(elements), index(0));
      UnitAttr bypassL1 = elements * type.getElementTypeBitWidth() == 128 ? getUnitAttr() : UnitAttr();
      return nvgpu::DeviceAsyncCopyOp::create(*this, nvgpu::DeviceAsyncTokenType::get(getContext()), to,
                                              place ? place(at) : at, from, source, getIndexAttr(elements), count,
                                              bypassL1);
    };
    // Tokens stay in a branch or loop: the group that is made behind it is what counts.
    if (total <= 16 * threads) {
      for (int64_t first = 0; first < total; first += threads) {
        Value chunk = arith::AddIOp::create(*this, thread, index(first));
        if (first + threads <= total) {
          if (Value token = copyOne(chunk))
            tokens.push_back(token);
          continue;
        }
        Value isInside = arith::CmpIOp::create(*this, arith::CmpIPredicate::ult, chunk, index(total));
        InsertionGuard guard(*this);
        setInsertionPointToStart(scf::IfOp::create(*this, isInside, /*withElse=*/false).thenBlock());
        copyOne(chunk);
      }
      return;
    }
    auto loop = scf::ForOp::create(*this, thread, index(total), index(threads));
    InsertionGuard guard(*this);
    setInsertionPointToStart(loop.getBody());
    copyOne(loop.getInductionVar());
  }

  /// Waits until all but the last `left` groups of copies are there, for all threads, and for warp groups.
  void waitFor(ArrayRef<Value> tokens, int64_t left, bool forGroups = false) {
    Value group =
        nvgpu::DeviceAsyncCreateGroupOp::create(*this, nvgpu::DeviceAsyncTokenType::get(getContext()), tokens);
    nvgpu::DeviceAsyncWaitOp::create(*this, group, getI32IntegerAttr(static_cast<int32_t>(left)));
    if (forGroups)
      NVVM::FenceProxyOp::create(*this, NVVM::ProxyKind::async_shared,
                                 NVVM::SharedSpaceAttr::get(getContext(), NVVM::SharedSpace::shared_cta));
    gpu::BarrierOp::create(*this);
  }
};

/// An operand of a warp's tile: views that depend on the warp, then on K, of what the whole block shares.
struct Operand {
  Value shared;
  SmallVector<memref::SubViewOp> ofWarp, ofStep; ///< outermost first

  /// `loop` is null where one step has all columns.
  Operand(Value v, scf::ForallOp warps, scf::ForOp loop) {
    while (auto view = v.getDefiningOp<memref::SubViewOp>()) {
      if (!warps->isAncestor(view))
        break;
      auto &views = loop && loop->isAncestor(view) ? ofStep : ofWarp;
      views.insert(views.begin(), view);
      v = view.getSource();
    }
    shared = v;
  }
};

struct MapWarpsPass : quantc::impl::QFMapWarpsBase<MapWarpsPass> {
  void runOnOperation() override {
    if (std::optional<Schedule> schedule = Schedule::of(getOperation()))
      if (failed(run(*schedule)))
        signalPassFailure();
  }

private:
  DenseMap<Value, Value> stagedWhole; ///< activations in shared memory, by those in global memory

  LogicalResult run(const Schedule &schedule) {
    gpu::GPUFuncOp kernel = getOperation();
    stagedWhole.clear();
    IRRewriter rewriter(kernel);
    FailureOr<int64_t> warps = countWarps(rewriter, schedule);
    if (failed(warps))
      return failure();
    const int64_t threads = *warps * warpSize;

    SmallVector<qf::WarpDotOp> dots;
    kernel.walk([&](qf::WarpDotOp dot) { dots.push_back(dot); });
    SmallVector<scf::ForOp> loops;
    for (qf::WarpDotOp dot : dots) {
      auto loop = dot->getParentOfType<scf::ForOp>();
      auto over = dot->getParentOfType<scf::ForallOp>();
      if (!over)
        return dot.emitOpError("lies in no loop over warps");
      if (schedule.parts) {
        stageWhole(dot, over, loop, threads);
      } else {
        if (!loop)
          return dot.emitOpError("lies in no loop over the columns");
        stageTiles(dot, over, loop, schedule, threads);
        loop->setAttr("qf.stages", rewriter.getI64IntegerAttr(schedule.stages));
        loops.push_back(loop);
      }
    }

    rewriter.setInsertionPointToStart(&kernel.front());
    const int64_t block[] = {threads, 1, 1};
    DiagnosedSilenceableFailure mapped = transform::gpu::mapNestedForallToThreadsImpl(
        rewriter, std::nullopt, kernel, block, warpSize, /*syncAfterDistribute=*/true);
    if (!mapped.succeeded())
      return mapped.checkAndReport();
    // Else ptxas prefers a spill or two to a block fewer on a multiprocessor.
    kernel->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(), rewriter.getI32IntegerAttr(1));
    kernel.setKnownBlockSizeAttr(rewriter.getDenseI32ArrayAttr({static_cast<int32_t>(threads), 1, 1}));
    for (scf::ForOp loop : loops)
      for (auto buffer : llvm::to_vector(loop.getOps<memref::AllocOp>())) {
        buffer->moveBefore(loop);
        if (failed(memref::multiBuffer(rewriter, buffer, static_cast<unsigned>(schedule.stages),
                                       /*skipOverrideAnalysis=*/true)))
          return buffer.emitOpError("is not a tile of a loop");
      }
    return success();
  }

  /// Normalizes the loops over warps; how many warps the largest has.
  FailureOr<int64_t> countWarps(IRRewriter &rewriter, const Schedule &schedule) {
    SmallVector<scf::ForallOp> loops;
    getOperation().walk([&](scf::ForallOp loop) { loops.push_back(loop); });
    int64_t warps = 1;
    for (scf::ForallOp loop : loops) {
      if (ShapedType::isDynamic(loop.getStaticUpperBound()[0])) { // a ragged block has as many warps as a whole one
        loop.getDynamicUpperBoundMutable().clear();
        SmallVector<int64_t> bounds(loop.getStaticUpperBound());
        bounds[0] = schedule.blockTokens;
        loop.setStaticUpperBound(bounds);
      }
      rewriter.setInsertionPoint(loop);
      FailureOr<scf::ForallOp> normal = normalizeForallOp(rewriter, loop);
      if (failed(normal))
        return loop.emitOpError("cannot be normalized");
      int64_t count = 1;
      for (OpFoldResult bound : normal->getMixedUpperBound()) {
        std::optional<int64_t> known = getConstantIntValue(bound);
        if (!known)
          return normal->emitOpError("has a dynamic number of warps");
        count *= *known;
      }
      warps = std::max(warps, count);
    }
    return warps;
  }

  /// x as a whole, before the warps that are the first to read it; 16 bytes more a row, so that no two rows begin in
  /// one bank.
  void stageWhole(qf::WarpDotOp dot, scf::ForallOp warps, scf::ForOp loop, int64_t threads) {
    Operand x(dot.getX(), warps, loop);
    Builder b(dot.getLoc(), warps);
    Value &whole = stagedWhole[x.shared];
    if (!whole) {
      const int64_t rows = dot.getAcc().getType().getDimSize(0), K = typeOf(x.shared).getDimSize(1);
      whole = b.shared({rows, K + 8}, typeOf(x.shared).getElementType());
      whole = b.subview(whole, {b.getIndexAttr(0), b.getIndexAttr(0)}, {rows, K});
      SmallVector<Value> tokens;
      b.copyTogether(x.shared, whole, {rows, K}, threads, tokens);
      b.waitFor(tokens, 0);
    }
    Value staged = whole;
    for (auto view : llvm::concat<memref::SubViewOp>(x.ofWarp, x.ofStep)) {
      b.setInsertionPoint(view);
      staged = b.subview(staged, view.getMixedOffsets(), view.getMixedSizes());
    }
    dot.getXMutable().assign(staged);
  }

  /// The tiles along K of activations and codes. Warps run side by side: within their loop "all threads copy" is meant,
  /// and holds as soon as the loop becomes ids.
  void stageTiles(qf::WarpDotOp dot, scf::ForallOp warps, scf::ForOp loop, const Schedule &schedule, int64_t threads) {
    Builder b(dot.getLoc(), dot);
    SmallVector<Value> tokens;
    const bool isGrouped = WarpGroup::isUsedBy(getOperation());
    auto stage = [&](OpOperand &operand, int64_t blockRows, int64_t warpRows) {
      Operand o(operand.get(), warps, loop);
      MemRefType type = typeOf(operand.get());
      SmallVector<int64_t> sizes(type.getShape());
      SmallVector<OpFoldResult> offsets(sizes.size(), b.getIndexAttr(0)), mine = offsets;
      if (!o.ofStep.empty())
        offsets[1] = o.ofStep.back().getMixedOffsets()[1];
      if (!o.ofWarp.empty())
        mine[0] = o.ofWarp.back().getMixedOffsets()[0];
      SmallVector<OpFoldResult> from = getAsIndexOpFoldResult(&getContext(), sizes);
      from[0] = memref::getMixedSize(b, b.getLoc(), o.shared, 0);
      sizes[0] = blockRows;
      if (isGrouped && &operand == &dot.getXMutable())
        return operand.set(stagePanels(b, b.subview(o.shared, offsets, from), sizes, threads, tokens));
      Value all = b.shared(sizes, type.getElementType());
      b.copyTogether(b.subview(o.shared, offsets, from), all, sizes, threads, tokens);
      sizes[0] = warpRows;
      operand.set(b.subview(all, mine, sizes));
    };
    stage(dot.getXMutable(), schedule.blockTokens, schedule.warpTokens);
    FailureOr<FragmentStorage> storage = fragmentsOf(dot, cast<qf::ElemType>(dot.getFormat()));
    for (auto [i, plane] : llvm::enumerate(storage->planes()))
      if (plane.inLanes)
        stage(dot->getOpOperand(2 + i), schedule.blockRows / FragmentStorage::rows,
              schedule.warpRows / FragmentStorage::rows);
    if (isGrouped)
      dot->setAttr(WarpGroup::attribute, b.getUnitAttr());
    b.waitFor(tokens, schedule.stages - 2, isGrouped);
  }

  /// A tile of activations as the descriptors of warp groups have it: all of them read all of it.
  static Value stagePanels(Builder &b, Value from, ArrayRef<int64_t> sizes, int64_t threads,
                           SmallVector<Value> &tokens) {
    const int64_t panels = sizes[1] / WarpGroup::panelColumns;
    Value to = b.shared({panels * sizes[0], WarpGroup::panelColumns}, typeOf(from).getElementType());
    to.getDefiningOp<memref::AllocOp>().setAlignment(WarpGroup::alignment);
    b.copyTogether(from, to, llvm::to_vector(sizes), threads, tokens,
                   [&](ValueRange at) { return WarpGroup::placeInPanels(b, at, sizes[0]); });
    return to;
  }
};

} // namespace
