//===- InsertObservers.cpp - where calibration looks at activations ---------------------------------------------===//

#include "quantc/Dialect/NN/NN.h"
#include "quantc/Transforms/Observers.h"
#include "quantc/Transforms/Passes.h"
#include "quantc/Transforms/Weights.h"

#include "mlir/IR/Builders.h"
#include "llvm/ADT/DenseSet.h"

namespace quantc {
#define GEN_PASS_DEF_NNINSERTOBSERVERS
#include "quantc/Transforms/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

llvm::StringMap<std::string> quantc::observersOf(ModuleOp graph) {
  llvm::StringMap<std::string> names;
  llvm::DenseMap<Value, StringRef> byInput;
  graph.walk([&](nn::LinearOp linear) {
    for (Value weight : linear.getWeights())
      if (StringRef name = weightOf(weight); !name.empty())
        names[name] = byInput.try_emplace(linear.getX(), name).first->second.str();
  });
  return names;
}

namespace {

struct InsertObservers : quantc::impl::NNInsertObserversBase<InsertObservers> {
  using NNInsertObserversBase::NNInsertObserversBase;

  void runOnOperation() override {
    llvm::DenseSet<Value> seen;
    WalkResult walked = getOperation().walk([&](nn::LinearOp linear) {
      if (!seen.insert(linear.getX()).second)
        return WalkResult::advance();
      StringRef name = weightOf(linear.getWeights().front());
      if (name.empty() || !isa<FloatType>(getElementTypeOrSelf(linear.getX())))
        return linear.emitOpError("cannot be observed: its weight must be an nn.get, its input f32"),
               WalkResult::interrupt();
      observe(linear, name);
      return WalkResult::advance();
    });
    if (walked.wasInterrupted())
      signalPassFailure();
  }

  void observe(nn::LinearOp linear, StringRef name) {
    OpBuilder builder(linear);
    Location loc = linear.getLoc();
    int64_t K = linear.getK();
    auto state = [&](StringRef prefix, int64_t rows) -> Value {
      auto type = RankedTensorType::get({rows, K}, builder.getF32Type());
      return nn::StateOp::create(builder, loc, type, builder.getStringAttr(prefix + name));
    };
    Value columns = state(columnsPrefix, 3), products = hessian ? state(hessianPrefix, K) : Value();
    SmallVector<Type> results{columns.getType()};
    if (products)
      results.push_back(products.getType());
    nn::ObserveOp::create(builder, loc, results, linear.getX(), columns, products);
    ++observed;
  }
};

} // namespace
