//===- FuseEpilogues.cpp - gates and residuals of nn.linear -----------------------------------------------------===//

#include "quantc/Dialect/NN/NN.h"
#include "quantc/Transforms/Passes.h"

#include "mlir/IR/Builders.h"

namespace quantc {
#define GEN_PASS_DEF_NNFUSEEPILOGUES
#include "quantc/Transforms/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

/// The linear that makes `value` for one use only and has no epilogue yet.
nn::LinearOp plainLinear(Value value) {
  auto linear = value.getDefiningOp<nn::LinearOp>();
  return linear && value.hasOneUse() && !linear.getGate() && !linear.getResidual() ? linear : nullptr;
}

/// Replaces `op` by `linear` with an epilogue. The new op stands where `op` stood, behind everything that it reads.
void replace(Operation *op, nn::LinearOp linear, Value residual, nn::ActivationAttr gate) {
  OpBuilder builder(op);
  auto fused = nn::LinearOp::create(builder, linear.getLoc(), op->getResultTypes(), linear.getX(), linear.getWeights(),
                                    linear.getBiases(), residual, gate);
  op->replaceAllUsesWith(fused);
  op->erase();
  linear.erase();
}

bool fuseGate(nn::GatedOp gated) {
  nn::LinearOp linear = plainLinear(gated.getGate());
  if (!linear || linear != plainLinear(gated.getUp()) || linear.getNumResults() != 2)
    return false;
  // The gate's weight comes first.
  if (gated.getGate() != linear.getResult(0))
    return false;
  replace(gated, linear, Value(), gated.getActivationAttr());
  return true;
}

bool fuseResidual(nn::AddOp add) {
  for (auto [result, residual] : {std::pair(add.getB(), add.getA()), std::pair(add.getA(), add.getB())})
    if (nn::LinearOp linear = plainLinear(result); linear && linear.getNumResults() == 1) {
      replace(add, linear, residual, nullptr);
      return true;
    }
  return false;
}

struct FuseEpilogues : quantc::impl::NNFuseEpiloguesBase<FuseEpilogues> {
  void runOnOperation() override {
    getOperation().walk([&](Operation *op) {
      if (auto gated = dyn_cast<nn::GatedOp>(op))
        fused += fuseGate(gated);
      else if (auto add = dyn_cast<nn::AddOp>(op))
        fused += fuseResidual(add);
    });
  }
};

} // namespace
