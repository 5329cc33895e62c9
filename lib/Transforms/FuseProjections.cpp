//===- FuseProjections.cpp - one nn.linear for those of one input -----------------------------------------------===//

#include "quantc/Dialect/NN/NN.h"
#include "quantc/Transforms/Passes.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/MapVector.h"

namespace quantc {
#define GEN_PASS_DEF_NNFUSEPROJECTIONS
#include "quantc/Transforms/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

/// Puts the operands that are weights before `point`: they have no operands of their own.
void hoist(ValueRange operands, Operation *point) {
  for (Value operand : operands)
    if (auto get = operand.getDefiningOp<nn::GetOp>();
        get && get->getBlock() == point->getBlock() && point->isBeforeInBlock(get))
      get->moveBefore(point);
}

void fuse(ArrayRef<nn::LinearOp> linears) {
  nn::LinearOp first = linears.front();
  SmallVector<Value> weights, biases;
  SmallVector<Type> types;
  for (nn::LinearOp linear : linears) {
    hoist(linear.getWeights(), first);
    hoist(linear.getBiases(), first);
    llvm::append_range(weights, linear.getWeights());
    llvm::append_range(biases, linear.getBiases());
    llvm::append_range(types, linear.getResultTypes());
  }
  OpBuilder builder(first);
  auto fused = nn::LinearOp::create(builder, first.getLoc(), types, first.getX(), weights, biases, Value(), nullptr);
  auto result = fused.getResults().begin();
  for (nn::LinearOp linear : linears) {
    for (Value old : linear.getResults())
      old.replaceAllUsesWith(*result++);
    linear.erase();
  }
}

/// The gated activation that alone reads the result of a linear, or null.
Operation *gateOf(nn::LinearOp linear) {
  Value result = linear.getResult(0);
  return result.hasOneUse() ? dyn_cast<nn::GatedOp>(*result.user_begin()).getOperation() : nullptr;
}

struct FuseProjections : quantc::impl::NNFuseProjectionsBase<FuseProjections> {
  using NNFuseProjectionsBase::NNFuseProjectionsBase;

  void runOnOperation() override {
    // Linears without epilogue, with as many biases (none or one), by input, block, and with `gates` by their gate.
    llvm::MapVector<std::tuple<Value, unsigned, Block *, Operation *>, SmallVector<nn::LinearOp>> groups;
    getOperation().walk([&](nn::LinearOp linear) {
      if (linear.getGate() || linear.getResidual() || linear.getWeights().size() != 1)
        return;
      Operation *gate = gates ? gateOf(linear) : nullptr;
      if (gate || !gates)
        groups[{linear.getX(), linear.getBiases().size(), linear->getBlock(), gate}].push_back(linear);
    });
    for (auto &[key, linears] : groups) {
      if (linears.size() < 2)
        continue;
      fused += linears.size() - 1;
      fuse(linears);
    }
  }
};

} // namespace
