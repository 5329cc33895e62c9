//===- ToLanes.cpp - from vectors of a warp to those of a lane ----------------------------------------------------===//

#include "DeviceMath.h"
#include "Fragments.h"
#include "WarpDot.h"
#include "WarpGroup.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/NVGPU/IR/NVGPUDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/Patterns.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "mlir/Transforms/DialectConversion.h"
#include "quantc/CodeGen/NVPTX/Launch.h"
#include "quantc/CodeGen/NVPTX/Passes.h"

namespace quantc {
#define GEN_PASS_DEF_QFTOLANES
#include "quantc/CodeGen/NVPTX/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

bool isOfWarp(Type type) {
  auto vector = dyn_cast<VectorType>(type);
  return vector && vector.getRank() >= 2 && vector.getShape().back() % FragmentStorage::rows == 0;
}

struct LaneTypes : TypeConverter {
  LaneTypes() {
    addConversion([](Type type) { return type; });
    addConversion([](VectorType type) -> std::optional<Type> {
      if (!isOfWarp(type))
        return std::nullopt;
      return ofLane(type);
    });
  }
};

struct Builder : ImplicitLocOpBuilder {
  using ImplicitLocOpBuilder::ImplicitLocOpBuilder;
  Value index(int64_t i) { return arith::ConstantIndexOp::create(*this, i); }
  Value add(Value a, Value b) { return arith::AddIOp::create(*this, a, b); }
  Value add(Value a, int64_t b) { return b ? add(a, index(b)) : a; }
  Value mul(Value a, int64_t b) { return arith::MulIOp::create(*this, a, index(b)); }
  Value div(Value a, int64_t b) { return arith::DivUIOp::create(*this, a, index(b)); }
  Value rem(Value a, int64_t b) { return arith::RemUIOp::create(*this, a, index(b)); }
};

/// Where a view begins along a dimension, counted from the beginning of the parameter that it is of.
Value offsetAlong(Builder &b, Value memory, unsigned dim) {
  Value offset = b.index(0);
  while (auto view = memory.getDefiningOp<memref::SubViewOp>()) {
    Value part = getValueOrCreateConstantIndexOp(b, b.getLoc(), view.getMixedOffsets()[dim]);
    offset = b.add(offset, part);
    memory = view.getSource();
  }
  return offset;
}

/// How many rows of a weight there are in memory, where a transfer from or to a parameter has more: the rest is
/// padding.
std::optional<int64_t> rowsOfParameter(Operation *transfer, MemRefType memory) {
  auto rows = transfer->getParentOfType<gpu::GPUFuncOp>()->getAttrOfType<IntegerAttr>(rowsInMemory);
  if (!rows || gpu::GPUDialect::hasWorkgroupMemoryAddressSpace(memory))
    return {};
  return rows.getInt();
}

/// Calls `body` for each number that a lane has of a transfer: its place in the lane's vector, its indices in memory,
/// and whether it lies inside (null: always). Outside of it indices are those of the last token or row, which can be
/// read.
template <typename Op>
void forEach(Builder &b, Op op, ValueRange indices,
             function_ref<void(ArrayRef<int64_t> place, ValueRange at, Value inside)> body) {
  VectorType warp = op.getVectorType(), lane = ofLane(warp);
  const int64_t lead = warp.getRank() - 2, tokens = warp.getShape()[lead];
  Value id = b.rem(gpu::ThreadIdOp::create(b, gpu::Dimension::x), warpSize);
  Value group = b.div(id, 4), pair = b.mul(b.rem(id, 4), 2);
  const bool inBounds = op.isDimInBounds(lead);
  const std::optional<int64_t> rows = rowsOfParameter(op, cast<MemRefType>(op.getBase().getType()));
  for (int64_t i = 0; i < lane.getNumElements(); i++) {
    SmallVector<int64_t> place = delinearize(i, computeSuffixProduct(lane.getShape()));
    SmallVector<Value> at(indices), where;
    for (int64_t dim = 0; dim < lead; dim++)
      where.push_back(b.index(place[dim]));
    Value token = b.add(pair, 8 * place[lead + 1] + place[lead + 3]), inside;
    where.push_back(token);
    where.push_back(b.add(group, FragmentStorage::rows * place[lead] + 8 * place[lead + 2]));
    for (auto [dim, expr] : llvm::enumerate(op.getPermutationMap().getResults())) {
      auto position = dyn_cast<AffineDimExpr>(expr);
      if (!position)
        continue; // a broadcast
      Value &place = at[position.getPosition()];
      if (static_cast<int64_t>(dim) == lead && (tokens % 8 || !inBounds)) {
        Value end = b.index(tokens);
        if (!inBounds)
          end = memref::DimOp::create(b, op.getBase(), position.getPosition());
        inside = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, token, end);
        // Of a warp that begins behind the last token it lies before the tile.
        Value last = arith::SubIOp::create(b, end, b.index(1));
        where[dim] = arith::MinSIOp::create(b, token, last);
      }
      if (static_cast<int64_t>(dim) == lead + 1 && rows) {
        // A tile begins before the last row, which is another's place in a matrix only behind it.
        Value left = arith::SubIOp::create(b, b.index(*rows),
                                           b.add(offsetAlong(b, op.getBase(), position.getPosition()), place));
        Value isRow = arith::CmpIOp::create(b, arith::CmpIPredicate::slt, where[dim], left);
        inside = inside ? arith::AndIOp::create(b, inside, isRow).getResult() : isRow;
        where[dim] = arith::MinSIOp::create(b, where[dim], arith::SubIOp::create(b, left, b.index(1)));
      }
      place = b.add(place, where[dim]);
    }
    body(place, at, inside);
  }
}

struct Read : OpConversionPattern<vector::TransferReadOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult matchAndRewrite(vector::TransferReadOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    if (!isOfWarp(op.getType()) || !isa<MemRefType>(op.getBase().getType()))
      return failure();
    Builder b(op.getLoc(), rewriter);
    SmallVector<Value> numbers;
    forEach(b, op, adaptor.getIndices(), [&](ArrayRef<int64_t>, ValueRange at, Value) {
      numbers.push_back(memref::LoadOp::create(b, adaptor.getBase(), at));
    });
    rewriter.replaceOp(op, vector::FromElementsOp::create(b, ofLane(op.getVectorType()), numbers));
    return success();
  }
};

struct Write : OpConversionPattern<vector::TransferWriteOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult matchAndRewrite(vector::TransferWriteOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    if (!isOfWarp(op.getVectorType()) || !isa<MemRefType>(op.getBase().getType()))
      return failure();
    Builder b(op.getLoc(), rewriter);
    forEach(b, op, adaptor.getIndices(), [&](ArrayRef<int64_t> place, ValueRange at, Value inside) {
      Value number = vector::ExtractOp::create(b, adaptor.getValueToStore(), place);
      OpBuilder::InsertionGuard guard(b);
      if (inside)
        b.setInsertionPointToStart(scf::IfOp::create(b, inside, /*withElse=*/false).thenBlock());
      memref::StoreOp::create(b, number, adaptor.getBase(), at);
    });
    rewriter.eraseOp(op);
    return success();
  }
};

/// Parts of a sum, added in their order.
struct Reduce : OpConversionPattern<vector::MultiDimReductionOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult matchAndRewrite(vector::MultiDimReductionOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    if (op.getReductionDims() != ArrayRef<int64_t>{0} || op.getKind() != vector::CombiningKind::ADD)
      return failure();
    Builder b(op.getLoc(), rewriter);
    Value sum = adaptor.getAcc();
    for (int64_t part = 0; part < op.getSourceVectorType().getDimSize(0); part++)
      sum = arith::AddFOp::create(b, sum, vector::ExtractOp::create(b, adaptor.getSource(), part));
    rewriter.replaceOp(op, sum);
    return success();
  }
};

struct Dot : OpConversionPattern<qf::WarpDotOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult matchAndRewrite(qf::WarpDotOp op, OpAdaptor adaptor,
                                ConversionPatternRewriter &rewriter) const override {
    auto emit = WarpGroup::isUsedBy(op) ? emitGroupDot : emitWarpDot;
    FailureOr<Value> sum = emit(op, adaptor.getAcc(), rewriter.getListener());
    if (failed(sum))
      return failure();
    rewriter.replaceOp(op, *sum);
    return success();
  }
};

/// Whatever works on each number for itself.
struct Elementwise : ConversionPattern {
  Elementwise(const TypeConverter &types, MLIRContext *context)
      : ConversionPattern(types, MatchAnyOpTypeTag(), 1, context) {}
  LogicalResult matchAndRewrite(Operation *op, ArrayRef<Value> operands,
                                ConversionPatternRewriter &rewriter) const override {
    auto type = op->getNumResults() == 1 ? dyn_cast<VectorType>(op->getResult(0).getType()) : VectorType();
    if (!type || !isOfWarp(type))
      return failure();
    if (auto constant = dyn_cast<arith::ConstantOp>(op)) {
      auto splat = dyn_cast<SplatElementsAttr>(constant.getValue());
      if (!splat)
        return failure();
      rewriter.replaceOpWithNewOp<arith::ConstantOp>(op, splat.resizeSplat(ofLane(type)));
      return success();
    }
    Builder b(op->getLoc(), rewriter);
    if (Value result = emitMath(b, op, operands)) {
      rewriter.replaceOp(op, result);
      return success();
    }
    if (!OpTrait::hasElementwiseMappableTraits(op) && !isa<vector::BroadcastOp>(op))
      return failure();
    OperationState state(op->getLoc(), op->getName(), operands, ofLane(type), op->getAttrs());
    rewriter.replaceOp(op, rewriter.create(state));
    return success();
  }
};

struct ToLanesPass : quantc::impl::QFToLanesBase<ToLanesPass> {
  void runOnOperation() override {
    LaneTypes types;
    RewritePatternSet patterns(&getContext());
    ConversionTarget target(getContext());
    patterns.add<Dot, Read, Write, Reduce, Elementwise>(types, &getContext());
    scf::populateSCFStructuralTypeConversionsAndLegality(types, patterns, target);
    target.markUnknownOpDynamicallyLegal([](Operation *op) {
      return !isa<qf::WarpDotOp>(op) && llvm::none_of(op->getOperandTypes(), isOfWarp) &&
             llvm::none_of(op->getResultTypes(), isOfWarp);
    });
    if (failed(applyPartialConversion(getOperation(), target, std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace
