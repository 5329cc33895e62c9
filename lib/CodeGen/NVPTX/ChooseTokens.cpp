//===- ChooseTokens.cpp - a program that chooses the most likely token itself -------------------------------------===//

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

/// The stage with an argmax of one of its results behind what it yields.
nn::StageOp withArgMax(nn::StageOp stage, OpResult logits) {
  auto yield = cast<nn::YieldOp>(stage.getBody().front().getTerminator());
  auto rows = cast<RankedTensorType>(logits.getType()).getDimSize(0);
  ImplicitLocOpBuilder b(stage.getLoc(), yield);
  auto argmax =
      nn::ArgMaxOp::create(b, RankedTensorType::get({rows}, b.getI32Type()),
                           RankedTensorType::get({rows}, b.getF32Type()), yield.getOperand(logits.getResultNumber()));
  yield->insertOperands(yield->getNumOperands(), argmax.getResults());
  b.setInsertionPoint(stage);
  auto larger = nn::StageOp::create(b, yield.getOperandTypes(), stage.getStageAttr());
  larger.getBody().takeBody(stage.getBody());
  stage.replaceAllUsesWith(larger.getResults().drop_back(argmax.getNumResults()));
  stage.erase();
  return larger;
}

struct ChooseTokens : quantc::impl::NNChooseTokensBase<ChooseTokens> {
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
    ret->insertOperands(ret->getNumOperands(), withArgMax(stage, logits).getResults().take_back(2));
    forward.setType(FunctionType::get(&getContext(), forward.getArgumentTypes(), ret->getOperandTypes()));
  }
};

} // namespace
