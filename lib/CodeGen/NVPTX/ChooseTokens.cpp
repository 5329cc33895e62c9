//===- ChooseTokens.cpp - a program that chooses the most likely tokens itself ------------------------------------===//

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "quantc/CodeGen/NVPTX/Passes.h"
#include "quantc/Dialect/NN/NN.h"

namespace quantc {
#define GEN_PASS_DEF_NNCHOOSETOKENS
#include "quantc/CodeGen/NVPTX/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

/// The stage with what chooses from one of its results behind what it yields: an argmax and, if `candidates` is not 0,
/// so many of the largest.
nn::StageOp withChoices(nn::StageOp stage, OpResult logits, uint64_t candidates) {
  auto yield = cast<nn::YieldOp>(stage.getBody().front().getTerminator());
  auto type = cast<RankedTensorType>(logits.getType());
  const int64_t rows = type.getDimSize(0);
  ImplicitLocOpBuilder b(stage.getLoc(), yield);
  Value from = yield.getOperand(logits.getResultNumber());
  auto argmax = nn::ArgMaxOp::create(b, RankedTensorType::get({rows}, b.getI32Type()),
                                     RankedTensorType::get({rows}, b.getF32Type()), from);
  yield->insertOperands(yield->getNumOperands(), argmax.getResults());
  if (candidates) {
    const int64_t shape[] = {rows, std::min(static_cast<int64_t>(candidates), type.getDimSize(1))};
    auto top = nn::TopOp::create(b, RankedTensorType::get(shape, b.getI32Type()),
                                 RankedTensorType::get(shape, b.getF32Type()), from);
    yield->insertOperands(yield->getNumOperands(), top.getResults());
  }
  b.setInsertionPoint(stage);
  auto larger = nn::StageOp::create(b, yield.getOperandTypes(), stage.getStageAttr());
  larger.getBody().takeBody(stage.getBody());
  stage.replaceAllUsesWith(larger.getResults().take_front(stage.getNumResults()));
  stage.erase();
  return larger;
}

struct ChooseTokens : quantc::impl::NNChooseTokensBase<ChooseTokens> {
  using NNChooseTokensBase::NNChooseTokensBase;

  void runOnOperation() override {
    auto forward = getOperation().lookupSymbol<func::FuncOp>("forward");
    if (!forward || forward.isDeclaration()) {
      getOperation().emitError("has no function @forward");
      return signalPassFailure();
    }
    Operation *ret = forward.front().getTerminator();
    auto logits = ret->getNumOperands() ? dyn_cast<OpResult>(ret->getOperand(0)) : OpResult();
    auto stage = logits ? dyn_cast<nn::StageOp>(logits.getOwner()) : nn::StageOp();
    if (!stage) {
      ret->emitError("must return the logits of an nn.stage first");
      return signalPassFailure();
    }
    const unsigned yielded = stage.getNumResults();
    ret->insertOperands(ret->getNumOperands(), withChoices(stage, logits, candidates).getResults().drop_front(yielded));
    forward.setType(FunctionType::get(&getContext(), forward.getArgumentTypes(), ret->getOperandTypes()));
  }
};

} // namespace
