//===- SpecializeTokens.cpp - kernels of their own for few tokens -------------------------------------------------===//

#include "Variants.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "quantc/CodeGen/NVPTX/Passes.h"
#include "quantc/Dialect/NN/NN.h"

namespace quantc {
#define GEN_PASS_DEF_NNSPECIALIZETOKENS
#include "quantc/CodeGen/NVPTX/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

struct SpecializeTokensPass : quantc::impl::NNSpecializeTokensBase<SpecializeTokensPass> {
  void runOnOperation() override {
    qf::GPUTargetAttr target = qf::GPUTargetAttr::of(getOperation());
    if (!target) {
      getOperation().emitError("needs the attribute 'qf.gpu'");
      return signalPassFailure();
    }
    SmallVector<func::FuncOp> products;
    for (func::FuncOp function : getOperation().getOps<func::FuncOp>())
      if (!function.isDeclaration() && !function.getOps<nn::LinearOp>().empty())
        products.push_back(function);
    for (func::FuncOp function : products) {
      few(function, target.getStream()[0]);
      one(function);
    }
  }

private:
  static func::FuncOp clone(func::FuncOp function, int64_t tokens) {
    return variantFor(function, function.getName() + "_m" + Twine(tokens), tokens);
  }

  /// The number of tokens stays a parameter.
  static void few(func::FuncOp function, int64_t tokens) { clone(function, tokens); }

  static void one(func::FuncOp function) {
    func::FuncOp copy = clone(function, 1);
    auto fix = [](Value v) {
      auto type = dyn_cast<RankedTensorType>(v.getType());
      if (!type || type.hasStaticShape())
        return;
      SmallVector<int64_t> shape(type.getShape());
      shape[0] = 1;
      v.setType(type.clone(shape));
    };
    llvm::for_each(copy.getArguments(), fix);
    copy.walk([&](Operation *op) { llvm::for_each(op->getResults(), fix); });
    copy.setFunctionType(FunctionType::get(copy.getContext(), copy.front().getArgumentTypes(),
                                           copy.front().getTerminator()->getOperandTypes()));
  }
};

} // namespace
