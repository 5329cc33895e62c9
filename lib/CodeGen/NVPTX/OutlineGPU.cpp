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
      if (failed(outline(function)))
        return signalPassFailure();
      mapBlocks(loops.front());
      function.erase();
    }
  }

private:
  gpu::GPUModuleOp kernels(ImplicitLocOpBuilder &b) {
    ModuleOp module = getOperation();
    module->setAttr(gpu::GPUDialect::getContainerModuleAttrName(), b.getUnitAttr());
    auto modules = module.getOps<gpu::GPUModuleOp>();
    return modules.empty() ? gpu::GPUModuleOp::create(b, "kernels") : *modules.begin();
  }

  /// Moves the body. Bare pointers have no sizes: a dynamic number of tokens is one more parameter.
  LogicalResult outline(func::FuncOp function) {
    ImplicitLocOpBuilder b(function.getLoc(), getOperation().getBodyRegion());
    b.setInsertionPointToEnd(kernels(b).getBody());
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
    kernel->setAttr(Schedule::attribute, function->getAttr(Schedule::attribute));
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
    return success();
  }

  /// Upstream's map_forall_to_blocks takes static grids only; a loop over tokens is none.
  static void mapBlocks(scf::ForallOp loop) {
    IRRewriter rewriter(loop);
    AffineExpr id, low, step;
    bindDims(rewriter.getContext(), id);
    bindSymbols(rewriter.getContext(), low, step);
    SmallVector<Value> places;
    for (auto [mapping, lowBound, stepSize] :
         llvm::zip(*loop.getMapping(), loop.getMixedLowerBound(), loop.getMixedStep())) {
      auto dim = static_cast<gpu::Dimension>(cast<gpu::GPUBlockMappingAttr>(mapping).getMappingId());
      Value block = gpu::BlockIdOp::create(rewriter, loop.getLoc(), dim);
      places.push_back(getValueOrCreateConstantIndexOp(
          rewriter, loop.getLoc(),
          affine::makeComposedFoldedAffineApply(rewriter, loop.getLoc(), low + id * step,
                                                {OpFoldResult(block), lowBound, stepSize})));
    }
    rewriter.eraseOp(loop.getTerminator());
    rewriter.inlineBlockBefore(loop.getBody(), loop, places);
    rewriter.eraseOp(loop);
  }
};

} // namespace
