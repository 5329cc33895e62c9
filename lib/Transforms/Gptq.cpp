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
    if (failed(checkScales(getOperation(), scales)))
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
      op->setAttr("damp", builder.getF64FloatAttr(damp));
      op->setAttr("scales", builder.getStringAttr(scales));
      for (auto [option, attribute] : {std::pair(bool(actOrder), "act_order"), {bool(plain), "plain"}})
        if (option)
          op->setAttr(attribute, builder.getUnitAttr());
      return op;
    });
  }
};

} // namespace
