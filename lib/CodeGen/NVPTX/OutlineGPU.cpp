//===- OutlineGPU.cpp - functions become kernels of a gpu.module --------------------------------------------------===//

#include "WarpGroup.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "quantc/CodeGen/NVPTX/Launch.h"
#include "quantc/CodeGen/NVPTX/Passes.h"

namespace quantc {
#define GEN_PASS_DEF_QFOUTLINEGPU
#include "quantc/CodeGen/NVPTX/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

struct OutlineGPUPass : quantc::impl::QFOutlineGPUBase<OutlineGPUPass> {
  void runOnOperation() override {
    for (func::FuncOp function : llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>())) {
      if (!Schedule::of(function))
        continue;
      auto loops = llvm::to_vector(function.getOps<scf::ForallOp>());
      if (loops.size() != 1 || !loops.front().getMapping()) {
        function.emitOpError("is not one parallel loop mapped to blocks: run qf-tile-blocks before");
        return signalPassFailure();
      }
      FailureOr<gpu::GPUFuncOp> kernel = outline(function);
      if (failed(kernel) || failed(mapBlocks(loops.front(), *kernel)))
        return signalPassFailure();
      function.erase();
    }
  }

private:
  /// Moves the body. Bare pointers have no sizes: a dynamic number of tokens is one more parameter, behind which stands
  /// the memory that kernels of one launch leave each other something in. Who writes that comes before who reads it.
  FailureOr<gpu::GPUFuncOp> outline(func::FuncOp function) {
    ImplicitLocOpBuilder b(function.getLoc(), getOperation().getBodyRegion());
    Block *kernels = gpuModuleOf(getOperation()).getBody();
    SmallVector<Type> types;
    const unsigned count = function.getNumArguments();
    const bool hasMemory = count && function.getArgAttr(count - 1, scratch);
    const unsigned tokens = count - hasMemory; // the parameter that says how many
    bool dynamic = false;
    for (Type parameter : function.getArgumentTypes()) {
      auto type = dyn_cast<MemRefType>(parameter);
      if (!type || !type.getLayout().isIdentity() || (!type.hasStaticShape() && type.getNumDynamicDims() > 1))
        return function.emitOpError() << "has a parameter " << parameter << ", which is no row-major buffer of tokens";
      SmallVector<int64_t> shape(type.getShape());
      if (!type.hasStaticShape()) {
        dynamic = true;
        shape[0] = 1;
      }
      types.push_back(MemRefType::get(shape, type.getElementType()));
    }
    if (dynamic)
      types.insert(types.begin() + tokens, b.getIndexType());
    const auto parameterOf = [&](BlockArgument argument) {
      return argument.getArgNumber() < tokens ? argument.getArgNumber() : static_cast<unsigned>(types.size()) - 1;
    };
    if (hasMemory)
      b.setInsertionPointToStart(kernels);
    else
      b.setInsertionPointToEnd(kernels);
    auto kernel = gpu::GPUFuncOp::create(b, function.getName(), b.getFunctionType(types, {}));
    kernel->setAttr(gpu::GPUDialect::getKernelFuncAttrName(), b.getUnitAttr());
    for (StringRef name : {Schedule::attribute, WarpGroup::attribute, mostTokens, variantOf, rowsInMemory})
      if (Attribute value = function->getAttr(name))
        kernel->setAttr(name, value);
    Operation *end = function.front().getTerminator();
    for (BlockArgument parameter : function.getArguments()) {
      const unsigned i = parameterOf(parameter);
      kernel.setArgAttr(i, LLVM::LLVMDialect::getNoAliasAttrName(), b.getUnitAttr());
      kernel.setArgAttr(i, LLVM::LLVMDialect::getAlignAttrName(), b.getI64IntegerAttr(16));
      if (!llvm::is_contained(end->getOperands(), parameter))
        kernel.setArgAttr(i, LLVM::LLVMDialect::getReadonlyAttrName(), b.getUnitAttr());
    }
    if (hasMemory)
      recordScratch(kernel, cast<MemRefType>(function.getArgumentTypes().back()));
    b.setInsertionPointToStart(&kernel.front());
    for (BlockArgument parameter : function.getArguments()) {
      Value argument = kernel.getArgument(parameterOf(parameter));
      auto type = cast<MemRefType>(parameter.getType());
      SmallVector<int64_t> strides = computeSuffixProduct(type.getShape());
      if (auto pitch = function.getArgAttrOfType<IntegerAttr>(parameter.getArgNumber(), pitchInMemory);
          pitch && type.getRank() == 2) {
        strides.front() = pitch.getInt();
        type =
            MemRefType::get(type.getShape(), type.getElementType(), StridedLayoutAttr::get(&getContext(), 0, strides));
      }
      if (!type.hasStaticShape() || !type.getLayout().isIdentity()) {
        SmallVector<OpFoldResult> sizes = getAsIndexOpFoldResult(&getContext(), type.getShape());
        if (!type.hasStaticShape())
          sizes[0] = kernel.getArgument(tokens);
        argument = memref::ReinterpretCastOp::create(b, type, argument, b.getIndexAttr(0), sizes,
                                                     getAsIndexOpFoldResult(&getContext(), strides));
      }
      parameter.replaceAllUsesWith(argument);
      updateViews(argument);
    }
    end->erase();
    kernel.front().getOperations().splice(kernel.front().end(), function.front().getOperations());
    b.setInsertionPointToEnd(&kernel.front());
    gpu::ReturnOp::create(b);
    return kernel;
  }

  /// Gives views the strides of what they are of.
  static void updateViews(Value memory) {
    for (Operation *user : memory.getUsers())
      if (auto view = dyn_cast<memref::SubViewOp>(user)) {
        auto type = cast<MemRefType>(memref::SubViewOp::inferResultType(
            cast<MemRefType>(memory.getType()), view.getMixedOffsets(), view.getMixedSizes(), view.getMixedStrides()));
        if (view.getType() == type)
          continue;
        view.getResult().setType(type);
        updateViews(view);
      }
  }

  /// How many blocks a dimension of the loop over blocks has.
  static std::optional<GridAxis> axisOf(OpFoldResult low, OpFoldResult high, OpFoldResult step) {
    const std::optional<int64_t> size = getConstantIntValue(step), end = getConstantIntValue(high);
    if (!size || getConstantIntValue(low) != 0)
      return {};
    if (end)
      return GridAxis{-1, static_cast<int64_t>(llvm::divideCeil(*end, *size))};
    Value extent = cast<Value>(high);
    if (auto dim = extent.getDefiningOp<memref::DimOp>()) // of a parameter whose sizes are parameters
      if (auto view = dim.getSource().getDefiningOp<memref::ReinterpretCastOp>(); view && dim.getConstantIndex())
        extent = dyn_cast<Value>(view.getMixedSizes()[static_cast<size_t>(*dim.getConstantIndex())]);
    auto parameter = dyn_cast_if_present<BlockArgument>(extent);
    if (!parameter)
      return {};
    return GridAxis{static_cast<int>(parameter.getArgNumber()), *size};
  }

  /// Upstream's map_forall_to_blocks takes static grids only; a loop over tokens is none.
  static LogicalResult mapBlocks(scf::ForallOp loop, gpu::GPUFuncOp kernel) {
    IRRewriter rewriter(loop);
    AffineExpr id, low, step;
    bindDims(rewriter.getContext(), id);
    bindSymbols(rewriter.getContext(), low, step);
    SmallVector<Value> places;
    LaunchGrid grid;
    for (auto [mapping, lowBound, highBound, stepSize] :
         llvm::zip(*loop.getMapping(), loop.getMixedLowerBound(), loop.getMixedUpperBound(), loop.getMixedStep())) {
      auto dim = static_cast<gpu::Dimension>(cast<gpu::GPUBlockMappingAttr>(mapping).getMappingId());
      std::optional<GridAxis> axis = axisOf(lowBound, highBound, stepSize);
      if (!axis)
        return loop.emitOpError("has bounds that are no numbers and no parameters");
      (dim == gpu::Dimension::x ? grid.x : grid.y) = *axis;
      Value block = gpu::BlockIdOp::create(rewriter, loop.getLoc(), dim);
      places.push_back(getValueOrCreateConstantIndexOp(
          rewriter, loop.getLoc(),
          affine::makeComposedFoldedAffineApply(rewriter, loop.getLoc(), low + id * step,
                                                {OpFoldResult(block), lowBound, stepSize})));
    }
    rewriter.eraseOp(loop.getTerminator());
    rewriter.inlineBlockBefore(loop.getBody(), loop, places);
    rewriter.eraseOp(loop);
    grid.record(kernel);
    return success();
  }
};

} // namespace
