//===- ChooseStorage.cpp - from numbers to blocks of storage --------------------------------------------------===//

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "quantc/CodeGen/Passes.h"
#include "quantc/CodeGen/Storage.h"
#include "quantc/Dialect/QF/QF.h"
#include "llvm/ADT/TypeSwitch.h"
#include <array>

namespace quantc {
#define GEN_PASS_DEF_QFCHOOSESTORAGE
#include "quantc/CodeGen/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

struct ChooseStoragePass : quantc::impl::QFChooseStorageBase<ChooseStoragePass> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (failed(chooseBlocks(function)))
      return signalPassFailure();
    if (blocks.empty())
      return;
    // Which slices are of quantized numbers is asked before the first changes types.
    SmallVector<std::pair<Operation *, qf::BlockType>> slices;
    function.walk([&](Operation *op) {
      Type type = TypeSwitch<Operation *, Type>(op)
                      .Case<tensor::ExtractSliceOp>([](auto slice) { return slice.getType(); })
                      .Case<tensor::InsertSliceOp, tensor::ParallelInsertSliceOp>(
                          [](auto slice) { return slice.getSourceType(); })
                      .Default(Type());
      if (qf::BlockType block = blockOf(type))
        slices.emplace_back(op, block);
    });
    for (auto [op, block] : slices) {
      auto rewrite = [&, block = block](auto slice) { return countBlocks(slice, block); };
      const LogicalResult rewritten =
          TypeSwitch<Operation *, LogicalResult>(op)
              .Case<tensor::ExtractSliceOp, tensor::InsertSliceOp, tensor::ParallelInsertSliceOp>(rewrite)
              .Default(failure());
      if (failed(rewritten))
        return signalPassFailure();
    }
    convertTypes(function);
  }

private:
  /// The block of each format of this function.
  DenseMap<qf::ElemType, qf::BlockType> blocks;

  /// What `qf.encode` writes and contractions read on the left are activations; all other tensors are weights.
  LogicalResult chooseBlocks(func::FuncOp function) {
    blocks.clear();
    auto choose = [&](Operation *op, Value operand, bool isWeight) -> LogicalResult {
      auto elem = dyn_cast<qf::ElemType>(getElementTypeOrSelf(operand.getType()));
      if (!elem)
        return success();
      FailureOr<qf::BlockType> block = isWeight ? weightBlock(op, elem) : activationBlock(op, elem);
      if (failed(block))
        return failure();
      auto [known, isNew] = blocks.try_emplace(elem, *block);
      if (!isNew && known->second != *block)
        return op->emitOpError() << "has " << elem << " as activations and as weights, which lie differently";
      return success();
    };
    auto walked = function.walk([&](Operation *op) -> WalkResult {
      return TypeSwitch<Operation *, LogicalResult>(op)
          .Case<qf::TileDotOp, qf::ContractOp>([&](auto dot) {
            return success(succeeded(choose(op, dot.getX(), false)) && succeeded(choose(op, dot.getW(), true)));
          })
          .Case<qf::EncodeOp>([&](auto encode) { return choose(op, encode.getOut(), false); })
          .Case<qf::DecodeOp, qf::TileDecodeOp>([&](auto decode) { return choose(op, decode.getW(), true); })
          .Default(success());
    });
    return failure(walked.wasInterrupted());
  }

  qf::BlockType blockOf(Type type) {
    auto tensor = dyn_cast_or_null<RankedTensorType>(type);
    return tensor ? blocks.lookup(dyn_cast<qf::ElemType>(tensor.getElementType())) : qf::BlockType();
  }

  Type convert(Type type) {
    qf::BlockType block = blockOf(type);
    if (!block)
      return type;
    SmallVector<int64_t> shape(cast<RankedTensorType>(type).getShape());
    for (auto [size, unit] : llvm::zip(shape, std::array{block.getRows(), block.getColumns()}))
      if (!ShapedType::isDynamic(size))
        size = llvm::divideCeil(size, unit);
    return RankedTensorType::get(shape, block);
  }

  /// Offsets and sizes of a slice of numbers become those of the blocks that hold them.
  template <typename SliceOp> LogicalResult countBlocks(SliceOp op, qf::BlockType block) {
    IRRewriter rewriter(op);
    SmallVector<OpFoldResult> offsets = op.getMixedOffsets(), sizes = op.getMixedSizes();
    SmallVector<int64_t> whole = extents(op->getOperand(isa<tensor::ExtractSliceOp>(op) ? 0 : 1));
    for (auto [offset, size, extent, unit] :
         llvm::zip(offsets, sizes, whole, std::array{block.getRows(), block.getColumns()})) {
      int64_t first = getConstantIntValue(offset).value_or(0), count = getConstantIntValue(size).value_or(unit);
      // Dynamic offsets are multiples of static tile sizes; a part of a block is its end of a row or column.
      if (first % unit || (count % unit && !ShapedType::isDynamic(extent) && (extent - count) % unit)) {
        InFlightDiagnostic diag = op.emitOpError("cuts a block");
        diag.attachNote() << "a block of " << block.getSpec() << " has " << block.getRows() << " x "
                          << block.getColumns() << " numbers";
        return diag;
      }
      AffineExpr d = rewriter.getAffineDimExpr(0);
      offset = affine::makeComposedFoldedAffineApply(rewriter, op.getLoc(), d.floorDiv(unit), {offset});
      size = affine::makeComposedFoldedAffineApply(rewriter, op.getLoc(), d.ceilDiv(unit), {size});
    }
    if constexpr (std::is_same_v<SliceOp, tensor::ExtractSliceOp>)
      rewriter.replaceOpWithNewOp<SliceOp>(op, cast<RankedTensorType>(convert(op.getType())), op.getSource(), offsets,
                                           sizes, op.getMixedStrides());
    else
      rewriter.replaceOpWithNewOp<SliceOp>(op, op.getSource(), op.getDest(), offsets, sizes, op.getMixedStrides());
    return success();
  }
  /// Sizes in numbers: unknown where `v` counts blocks already, by an outer slice.
  static SmallVector<int64_t> extents(Value v) {
    auto type = cast<RankedTensorType>(v.getType());
    if (isa<qf::BlockType>(type.getElementType()))
      return SmallVector<int64_t>(type.getRank(), ShapedType::kDynamic);
    return llvm::to_vector(type.getShape());
  }

  void convertTypes(func::FuncOp function) {
    auto convertAll = [&](ValueRange values) {
      for (Value v : values)
        v.setType(convert(v.getType()));
    };
    function.walk([&](Operation *op) {
      convertAll(op->getResults());
      for (Region &region : op->getRegions())
        for (Block &block : region)
          convertAll(block.getArguments());
    });
    auto one = [&](Type type) { return convert(type); };
    FunctionType type = function.getFunctionType();
    function.setType(FunctionType::get(&getContext(), llvm::map_to_vector(type.getInputs(), one),
                                       llvm::map_to_vector(type.getResults(), one)));
  }
};

} // namespace
