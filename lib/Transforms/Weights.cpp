//===- Weights.cpp - which weights a graph reads, and as what ---------------------------------------------------===//

#include "quantc/Transforms/Weights.h"
#include "quantc/Dialect/QF/QF.h"

using namespace mlir;
using namespace quantc;

SmallVector<nn::WeightOp> quantc::matrices(ModuleOp module) {
  llvm::DenseSet<StringAttr> read;
  module.walk([&](nn::GetOp get) {
    for (OpOperand &use : get.getValue().getUses()) {
      auto linear = dyn_cast<nn::LinearOp>(use.getOwner());
      bool matrix = linear && llvm::is_contained(linear.getWeights(), get.getValue());
      if (matrix || isa<nn::EmbeddingOp>(use.getOwner()))
        read.insert(get.getWeightAttr().getAttr());
    }
  });
  SmallVector<nn::WeightOp> result;
  for (auto weight : module.getOps<nn::WeightOp>())
    if (read.contains(weight.getSymNameAttr()))
      result.push_back(weight);
  return result;
}

StringRef quantc::weightOf(Value value) {
  while (auto op = value.getDefiningOp()) {
    if (auto get = dyn_cast<nn::GetOp>(op))
      return get.getWeight();
    if (!isa<qf::ScaleOp, qf::ClipOp, qf::QuantizeOp>(op))
      break;
    value = op->getOperand(0);
  }
  return {};
}
