//===- CheckFormats.cpp - refuses formats that cannot hold their weights ----------------------------------------===//

#include "quantc/Dialect/NN/NN.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Format/Format.h"
#include "quantc/Format/KernelStorage.h"
#include "quantc/Transforms/Passes.h"

namespace quantc {
#define GEN_PASS_DEF_NNCHECKFORMATS
#include "quantc/Transforms/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

/// Rows of a block of kernel storage where the module has no target yet: that of every CPU.
constexpr unsigned defaultRows = 16;

struct CheckFormats : quantc::impl::NNCheckFormatsBase<CheckFormats> {
  void runOnOperation() override {
    bool good = true;
    for (auto weight : getOperation().getOps<nn::WeightOp>())
      if (auto format = weight->getAttrOfType<TypeAttr>(nn::formatAttrName))
        good &= succeeded(check(weight, cast<qf::ElemType>(format.getValue())));
    if (!good)
      signalPassFailure();
  }

  LogicalResult check(nn::WeightOp weight, qf::ElemType elem) {
    auto type = cast<RankedTensorType>(weight.getType());
    int64_t N = type.getDimSize(0), K = type.getDimSize(1);
    Status status = elem.getFormat()->checkShape(N, K);
    if (status) {
      auto storage = getContext().getOrLoadDialect<qf::QFDialect>()->kernelStorage(elem.getSpec(), defaultRows);
      status = storage ? (*storage)->checkShape(N, K) : Status(tl::unexpected(storage.error()));
    }
    if (status)
      return success();
    InFlightDiagnostic diagnostic = weight.emitError() << "weight " << weight.getSymName() << " (" << N << " x " << K
                                                       << ") cannot be " << elem.getSpec();
    diagnostic.attachNote() << status.error().message;
    return diagnostic;
  }
};

} // namespace
