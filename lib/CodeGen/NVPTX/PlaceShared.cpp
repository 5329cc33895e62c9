//===- PlaceShared.cpp - buffers share one dynamic allocation -----------------------------------------------------===//

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/NVGPU/IR/NVGPUDialect.h"
#include "mlir/Dialect/NVGPU/Transforms/Transforms.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "quantc/CodeGen/NVPTX/Passes.h"

namespace quantc {
#define GEN_PASS_DEF_QFPLACESHARED
#include "quantc/CodeGen/NVPTX/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

struct PlaceSharedPass : quantc::impl::QFPlaceSharedBase<PlaceSharedPass> {
  static constexpr int64_t rowBytes = 128, alignment = 128;

  void runOnOperation() override {
    gpu::GPUFuncOp kernel = getOperation();
    SmallVector<memref::AllocOp> buffers;
    kernel.walk([&](memref::AllocOp buffer) { buffers.push_back(buffer); });
    for (memref::AllocOp buffer : buffers)
      if (!gpu::GPUDialect::hasWorkgroupMemoryAddressSpace(buffer.getType()) || !buffer.getType().hasStaticShape()) {
        InFlightDiagnostic diag = buffer.emitOpError("in a kernel: a tensor is not computed in place");
        diag.attachNote() << "give it a writable destination, or fuse it into its consumer";
        return signalPassFailure();
      }
    for (memref::AllocOp buffer : buffers)
      // Who aligns a buffer has swizzled it.
      if (!buffer.getAlignment() && buffer.getType().getElementTypeBitWidth() == 16 &&
          2 * buffer.getType().getShape().back() == rowBytes)
        (void)nvgpu::optimizeSharedMemoryReadsAndWrites(kernel, buffer.getResult()); // refuses what it cannot swizzle

    OpBuilder b(&getContext());
    b.setInsertionPointToStart(&kernel.front());
    int64_t bytes = 0;
    if (!buffers.empty()) {
      auto space = gpu::AddressSpaceAttr::get(&getContext(), gpu::GPUDialect::getWorkgroupAddressSpace());
      auto type = MemRefType::get({ShapedType::kDynamic}, b.getI8Type(), AffineMap(), space);
      Value shared = gpu::DynamicSharedMemoryOp::create(b, kernel.getLoc(), type);
      for (memref::AllocOp buffer : buffers) {
        b.setInsertionPointAfterValue(shared); // a buffer may stand there, and is erased
        bytes = llvm::alignTo(bytes, buffer.getAlignment().value_or(alignment));
        Value offset = arith::ConstantIndexOp::create(b, buffer.getLoc(), bytes);
        buffer.replaceAllUsesWith(
            memref::ViewOp::create(b, buffer.getLoc(), buffer.getType(), shared, offset, ValueRange{}).getResult());
        bytes +=
            llvm::alignTo(buffer.getType().getNumElements() * buffer.getType().getElementTypeBitWidth() / 8, alignment);
        buffer.erase();
      }
    }
    auto target = qf::GPUTargetAttr::of(kernel);
    if (target && bytes > target.getShared()) {
      kernel.emitOpError() << "needs " << bytes << " bytes of shared memory, but a block of " << target.getName()
                           << " can have " << target.getShared();
      return signalPassFailure();
    }
    kernel->setAttr("qf.shared_bytes", b.getI64IntegerAttr(bytes));
  }
};

} // namespace
