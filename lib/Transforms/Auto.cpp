//===- Auto.cpp - for each weight the method that does best on what it has not seen ------------------------------===//

#include "QuantizeWeights.h"
#include "quantc/Transforms/Passes.h"
#include "llvm/ADT/StringExtras.h"

namespace quantc {
#define GEN_PASS_DEF_QFAUTO
#include "quantc/Transforms/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

static constexpr StringRef allCandidates[] = {"rtn", "imatrix", "gptq", "gptq:act-order"};

namespace {

struct Auto : quantc::impl::QFAutoBase<Auto> {
  using QFAutoBase::QFAutoBase;

  void runOnOperation() override {
    SmallVector<StringRef> tried(candidates.begin(), candidates.end());
    if (tried.empty())
      tried.assign(std::begin(allCandidates), std::end(allCandidates));
    for (StringRef candidate : tried)
      if (!llvm::is_contained(allCandidates, candidate)) {
        getOperation().emitError() << "'" << candidate << "' is none of the methods that can be tried: "
                                   << llvm::join(ArrayRef(allCandidates), ", ");
        return signalPassFailure();
      }
    const FeedbackOptions options{damp, scales, grid, block, plain};
    if (failed(options.check(getOperation())))
      return signalPassFailure();
    StatisticValues statistics(getOperation());
    quantizeWeights(getOperation(), [&](OpBuilder &builder, WeightUse use) -> Value {
      if (use.isRounded)
        return quantizeByRounding(builder, use);
      StringRef name = use.weight.getSymName();
      const int64_t K = use.type.getDimSize(1);
      Value columns = statistics.columns(builder, name, K), hessian = statistics.hessian(builder, name, K),
            heldOut = statistics.heldOut(builder, name, K);
      auto op = qf::QuantizeOp::create(builder, use.value.getLoc(), use.type, use.value, builder.getStringAttr("auto"),
                                       ValueRange{columns, hessian, heldOut}, columnScales(use.value));
      op->setAttr("candidates", builder.getStrArrayAttr(tried));
      options.set(op);
      return op;
    });
  }
};

} // namespace
