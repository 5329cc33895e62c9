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
  void runOnOperation() override {
    StatisticValues statistics(getOperation());
    quantizeWeights(getOperation(), [&](OpBuilder &builder, WeightUse use) -> Value {
      if (use.isTable)
        return quantizeByRounding(builder, use);
      Value columns = statistics.columns(builder, use.weight.getSymName(), use.type.getDimSize(1));
      return qf::QuantizeOp::create(builder, use.value.getLoc(), use.type, use.value, builder.getStringAttr("imatrix"),
                                    columns, columnScales(use.value));
    });
  }
};

} // namespace
