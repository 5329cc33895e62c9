//===- SplitAttention.cpp - attention of few tokens over parts of the positions -----------------------------------===//

#include "Layers/Layers.h"
#include "Variants.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "quantc/CodeGen/NVPTX/Passes.h"
#include "quantc/CodeGen/TargetAttributes.h"

namespace quantc {
#define GEN_PASS_DEF_NNSPLITATTENTION
#include "quantc/CodeGen/NVPTX/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

/// Blocks that a multiprocessor should have: enough loads are under way with some of each.
constexpr int64_t blocksOfMultiprocessor = 4;
/// More are not worth what combining them costs.
constexpr int64_t mostParts = 64;

struct SplitAttentionPass : quantc::impl::NNSplitAttentionBase<SplitAttentionPass> {
  void runOnOperation() override {
    qf::GPUTargetAttr target = qf::GPUTargetAttr::of(getOperation());
    if (!target) {
      getOperation().emitError("needs the attribute 'qf.gpu'");
      return signalPassFailure();
    }
    auto multiprocessors = getOperation()->getAttrOfType<IntegerAttr>(multiprocessorsOfTarget);
    if (!multiprocessors)
      return;
    SmallVector<nn::AttentionOp> found;
    getOperation().walk([&](nn::AttentionOp op) { found.push_back(op); });
    for (nn::AttentionOp op : found) {
      const auto wanted = static_cast<uint64_t>(blocksOfMultiprocessor * multiprocessors.getInt());
      const int64_t parts = std::min<int64_t>(llvm::divideCeil(wanted, attentionBlocks(op)), mostParts);
      if (parts > 1)
        split(op, parts, target.getStream()[0]);
    }
  }

private:
  static nn::AttentionOp attentionOf(func::FuncOp function) { return *function.getOps<nn::AttentionOp>().begin(); }

  static void split(nn::AttentionOp op, int64_t parts, int64_t tokens) {
    auto kernel = op->getParentOfType<func::FuncOp>();
    const int64_t heads = cast<RankedTensorType>(op.getQ().getType()).getDimSize(1) /
                          cast<RankedTensorType>(op.getKeys().getType()).getDimSize(2);
    const int64_t valueDim = cast<RankedTensorType>(op.getValues().getType()).getDimSize(2);
    auto state = RankedTensorType::get({ShapedType::kDynamic, parts * heads * (valueDim + 2)},
                                       Float32Type::get(op.getContext()));
    const std::string name = (kernel.getName() + "_m" + Twine(tokens)).str();
    combine(variantFor(kernel, name, tokens, state), heads, parts);
    compute(variantFor(kernel, name + "_parts", tokens, state), parts); // stands before the other, and so runs first
  }

  /// Leaves what the parts are, in the memory for them.
  static void compute(func::FuncOp function, int64_t parts) {
    nn::AttentionOp op = attentionOf(function);
    BlockArgument memory = function.getArguments().back();
    OpBuilder b(op);
    Value state = nn::AttentionPartsOp::create(b, op.getLoc(), memory.getType(), op.getQ(), op.getKeys(),
                                               op.getValues(), op.getPast(), op.getScaleAttr(), op.getWindowAttr(),
                                               op.getSoftcapAttr(), b.getI64IntegerAttr(parts));
    auto stored = bufferization::MaterializeInDestinationOp::create(b, op.getLoc(), memory.getType(), state, memory);
    writeOnlyMemory(function, stored.getResult());
  }

  /// Makes the result of them.
  static void combine(func::FuncOp function, int64_t heads, int64_t parts) {
    nn::AttentionOp op = attentionOf(function);
    OpBuilder b(op);
    Value y = nn::CombinePartsOp::create(b, op.getLoc(), op.getType(), function.getArguments().back(), op.getPast(),
                                         b.getI64IntegerAttr(heads), b.getI64IntegerAttr(parts), op.getWindowAttr());
    op.replaceAllUsesWith(y);
    for (Operation &each : llvm::make_early_inc_range(llvm::reverse(function.front())))
      if (isOpTriviallyDead(&each))
        each.erase();
  }
};

} // namespace
