//===- FoldNorms.cpp - what norms multiply by, into the linears behind them -------------------------------------===//

#include "Derive.h"
#include "quantc/Transforms/Passes.h"
#include "quantc/Transforms/Weights.h"

#include "mlir/IR/Builders.h"

namespace quantc {
#define GEN_PASS_DEF_NNFOLDNORMS
#include "quantc/Transforms/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

struct FoldNorms : quantc::impl::NNFoldNormsBase<FoldNorms> {
  void runOnOperation() override {
    SymbolTable symbols(getOperation());
    SmallVector<nn::RmsNormOp> norms;
    getOperation().walk([&](nn::RmsNormOp norm) { norms.push_back(norm); });
    for (nn::RmsNormOp norm : norms)
      fold(norm, symbols);
  }

  void fold(nn::RmsNormOp norm, SymbolTable &symbols) {
    auto weight = symbols.lookup<nn::WeightOp>(weightOf(norm.getWeight()));
    auto type = cast<RankedTensorType>(norm.getWeight().getType());
    if (!weight || isOnes(weight.getFrom()) ||
        type.getDimSize(0) != cast<RankedTensorType>(norm.getX().getType()).getDimSize(1))
      return;
    auto isLinear = [](OpOperand &use) {
      auto linear = dyn_cast<nn::LinearOp>(use.getOwner());
      return linear && use.getOperandNumber() == 0 &&
             llvm::all_of(linear.getWeights(), [](Value w) { return w.getDefiningOp<nn::GetOp>(); });
    };
    if (!llvm::all_of(norm.getY().getUses(), isLinear))
      return;
    for (Operation *user : llvm::to_vector(norm.getY().getUsers()))
      for (OpOperand &operand : cast<nn::LinearOp>(user).getWeightsMutable())
        derive(ownWeight(operand, symbols),
               [&](Attribute from) -> Attribute { return nn::ScaledAttr::get(&getContext(), from, weight.getFrom()); });
    // The norm may serve others, by the same name.
    auto ones = ownWeight(norm.getWeightMutable(), symbols);
    derive(ones, [&](Attribute) -> Attribute {
      return DenseElementsAttr::get(type.clone(Float32Type::get(&getContext())), 1.0f);
    });
    ++folded;
  }
};

} // namespace
