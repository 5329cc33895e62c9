//===- LayersToGPU.cpp - layers that are no matrix products become kernels ----------------------------------------===//

#include "Layers/Layers.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "quantc/CodeGen/NVPTX/Passes.h"
#include "llvm/ADT/TypeSwitch.h"

namespace quantc {
#define GEN_PASS_DEF_NNLAYERSTOGPU
#include "quantc/CodeGen/NVPTX/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

struct LayersToGPUPass : quantc::impl::NNLayersToGPUBase<LayersToGPUPass> {
  void runOnOperation() override {
    for (func::FuncOp function : llvm::make_early_inc_range(getOperation().getOps<func::FuncOp>())) {
      Operation *layer = lastLayer(function);
      if (!layer)
        continue;
      if (failed(emit(layer)))
        return signalPassFailure();
      function.erase();
    }
  }

private:
  /// What a kernel computes in the end; null where it holds matrix products.
  static Operation *lastLayer(func::FuncOp function) {
    Operation *layer = nullptr;
    if (!function.isDeclaration())
      for (Operation &op : function.getOps()) {
        if (isa<qf::ContractOp>(op))
          return nullptr;
        // A rounding behind another layer is a part of its kernel.
        if (isa<nn::NNDialect>(op.getDialect()) || isa<qf::DecodeOp>(op) || (isa<linalg::GenericOp>(op) && !layer))
          layer = &op;
      }
    return layer;
  }

  LogicalResult emit(Operation *layer) {
    gpu::GPUModuleOp module = gpuModuleOf(getOperation());
    return llvm::TypeSwitch<Operation *, LogicalResult>(layer)
        .Case([&](nn::RmsNormOp op) { return emitNorm(op, module); })
        .Case([&](nn::RopeOp op) { return emitRope(op, module); })
        .Case([&](nn::KvAppendOp op) { return emitAppend(op, module); })
        .Case([&](nn::AttentionOp op) { return emitAttention(op, module); })
        .Case([&](nn::AttentionPartsOp op) { return emitAttentionParts(op, module); })
        .Case([&](nn::CombinePartsOp op) { return emitCombineParts(op, module); })
        .Case([&](nn::EmbeddingOp op) { return emitEmbedding(op, module); })
        .Case([&](nn::ArgMaxOp op) { return emitArgMax(op, module); })
        .Case([&](nn::TopOp op) { return emitTop(op, module); })
        .Case([&](nn::LastOp op) { return emitLast(op, module); })
        .Case([&](qf::DecodeOp op) { return emitDecode(op, module); })
        .Case([&](linalg::GenericOp op) { return emitElementwise(op, module); })
        .Default([&](Operation *op) { return op->emitOpError("has no kernel for GPUs"); });
  }
};

} // namespace
