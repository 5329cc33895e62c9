//===- OutlineGPU.cpp - functions become kernels of a gpu.module --------------------------------------------------===//

#include "Schedule.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
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
  /// Moves the body. Bare pointers have no sizes: a dynamic number of tokens is one more parameter.
  FailureOr<gpu::GPUFuncOp> outline(func::FuncOp function) {
    ImplicitLocOpBuilder b(function.getLoc(), getOperation().getBodyRegion());
    b.setInsertionPointToEnd(gpuModuleOf(getOperation()).getBody());
    SmallVector<Type> types;
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
      types.push_back(b.getIndexType());
    auto kernel = gpu::GPUFuncOp::create(b, function.getName(), b.getFunctionType(types, {}));
    kernel->setAttr(gpu::GPUDialect::getKernelFuncAttrName(), b.getUnitAttr());
    for (StringRef name : {Schedule::attribute, mostTokens, variantOf})
      if (Attribute value = function->getAttr(name))
        kernel->setAttr(name, value);
    Operation *end = function.front().getTerminator();
    for (BlockArgument parameter : function.getArguments()) {
      const unsigned i = parameter.getArgNumber();
      kernel.setArgAttr(i, LLVM::LLVMDialect::getNoAliasAttrName(), b.getUnitAttr());
      kernel.setArgAttr(i, LLVM::LLVMDialect::getAlignAttrName(), b.getI64IntegerAttr(16));
      if (!llvm::is_contained(end->getOperands(), parameter))
        kernel.setArgAttr(i, LLVM::LLVMDialect::getReadonlyAttrName(), b.getUnitAttr());
    }
    b.setInsertionPointToStart(&kernel.front());
    for (BlockArgument parameter : function.getArguments()) {
      Value argument = kernel.getArgument(parameter.getArgNumber());
      auto type = cast<MemRefType>(parameter.getType());
      if (!type.hasStaticShape()) {
        SmallVector<OpFoldResult> sizes = getAsIndexOpFoldResult(&getContext(), type.getShape()), strides;
        sizes[0] = kernel.getArguments().back();
        int64_t stride = 1;
        for (int64_t size : llvm::reverse(type.getShape())) {
          strides.insert(strides.begin(), b.getIndexAttr(stride));
          stride *= size;
        }
        argument = memref::ReinterpretCastOp::create(b, type, argument, b.getIndexAttr(0), sizes, strides);
      }
      parameter.replaceAllUsesWith(argument);
    }
    end->erase();
    kernel.front().getOperations().splice(kernel.front().end(), function.front().getOperations());
    b.setInsertionPointToEnd(&kernel.front());
    gpu::ReturnOp::create(b);
    return kernel;
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
