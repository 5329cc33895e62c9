//===- ImportanceMatrix.cpp - scales and codes by the mean squares of the inputs --------------------------------===//

#include "QuantizeWeights.h"
#include "quantc/Transforms/Passes.h"

namespace quantc {
#define GEN_PASS_DEF_QFIMATRIX
#include "quantc/Transforms/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

struct ImportanceMatrix : quantc::impl::QFImatrixBase<ImportanceMatrix> {
  using QFImatrixBase::QFImatrixBase;

  void runOnOperation() override {
    StatisticValues statistics(getOperation());
    quantizeWeights(getOperation(), [&](OpBuilder &builder, WeightUse use) -> Value {
      if (use.isRounded)
        return quantizeByRounding(builder, use);
      StringRef name = use.weight.getSymName();
      const int64_t K = use.type.getDimSize(1);
      SmallVector<Value> known{statistics.columns(builder, name, K)};
      if (!diagonal)
        known.push_back(statistics.hessian(builder, name, K));
      return qf::QuantizeOp::create(builder, use.value.getLoc(), use.type, use.value, builder.getStringAttr("imatrix"),
                                    known, columnScales(use.value));
    });
  }
};

} // namespace
