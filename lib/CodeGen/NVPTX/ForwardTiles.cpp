//===- ForwardTiles.cpp - vectors that are written and read again at once -----------------------------------------===//

#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Interfaces/ValueBoundsOpInterface.h"
#include "quantc/CodeGen/NVPTX/Passes.h"

namespace quantc {
#define GEN_PASS_DEF_QFFORWARDTILES
#include "quantc/CodeGen/NVPTX/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

struct ForwardTilesPass : quantc::impl::QFForwardTilesBase<ForwardTilesPass> {
  void runOnOperation() override {
    getOperation().walk([](tensor::ExtractSliceOp slice) {
      if (isWhole(slice, slice.getSource()) && slice.getSourceType() == slice.getType())
        slice.replaceAllUsesWith(slice.getSource());
    });
    getOperation().walk([](tensor::InsertSliceOp slice) {
      if (isWhole(slice, slice.getDest()) && slice.getSourceType() == slice.getType())
        slice.replaceAllUsesWith(slice.getSource());
    });
    getOperation().walk([](vector::TransferReadOp read) {
      auto write = read.getBase().getDefiningOp<vector::TransferWriteOp>();
      if (write && write.getIndices() == read.getIndices() && write.getVectorType() == read.getVectorType() &&
          write.getPermutationMap() == read.getPermutationMap())
        read.replaceAllUsesWith(write.getVector());
    });
  }

  /// Whether a slice takes the whole, which upstream sees only where sizes are static.
  static bool isWhole(OffsetSizeAndStrideOpInterface slice, Value whole) {
    using Bounds = ValueBoundsConstraintSet;
    if (!slice.hasUnitStride() || !llvm::all_of(slice.getMixedOffsets(), isZeroInteger))
      return false;
    for (auto [dim, size] : llvm::enumerate(slice.getMixedSizes())) {
      FailureOr<bool> equal = Bounds::areEqual(size, Bounds::Variable(whole, static_cast<int64_t>(dim)));
      if (failed(equal) || !*equal)
        return false;
    }
    return true;
  }
};

} // namespace
