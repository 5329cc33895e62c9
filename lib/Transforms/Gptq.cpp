//===- Gptq.cpp - error feedback by the second moments of the inputs --------------------------------------------===//

#include "QuantizeWeights.h"
#include "quantc/Transforms/Passes.h"

namespace quantc {
#define GEN_PASS_DEF_QFGPTQ
#include "quantc/Transforms/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

struct Gptq : quantc::impl::QFGptqBase<Gptq> {
  using QFGptqBase::QFGptqBase;

  void runOnOperation() override {
    const FeedbackOptions options{damp, scales, grid, block, plain, actOrder, groups};
    if (failed(options.check(getOperation())))
      return signalPassFailure();
    StatisticValues statistics(getOperation());
    quantizeWeights(getOperation(), [&](OpBuilder &builder, WeightUse use) -> Value {
      if (use.isRounded)
        return quantizeByRounding(builder, use);
      StringRef name = use.weight.getSymName();
      const int64_t K = use.type.getDimSize(1);
      Value columns = statistics.columns(builder, name, K), hessian = statistics.hessian(builder, name, K);
      auto op = qf::QuantizeOp::create(builder, use.value.getLoc(), use.type, use.value, builder.getStringAttr("gptq"),
                                       ValueRange{columns, hessian}, columnScales(use.value));
      options.set(op);
      return op;
    });
  }
};

} // namespace
