//===- RoundToNearest.cpp - the method that needs no data ------------------------------------------------------------===//

#include "quantc/Dialect/NN/NN.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Transforms/Passes.h"

#include "mlir/IR/Builders.h"

namespace quantc {
#define GEN_PASS_DEF_QFRTN
#include "quantc/Transforms/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

struct RoundToNearest : quantc::impl::QFRtnBase<RoundToNearest> {
  void runOnOperation() override {
    DenseMap<StringAttr, Type> assigned;
    for (auto weight : getOperation().getOps<nn::WeightOp>())
      if (auto format = weight->getAttrOfType<TypeAttr>(nn::formatAttrName)) {
        assigned[weight.getSymNameAttr()] = format.getValue();
        weight->removeAttr(nn::formatAttrName);
      }
    getOperation().walk([&](nn::GetOp get) {
      Type format = assigned.lookup(get.getWeightAttr().getAttr());
      if (!format || format == get.getType().getElementType())
        return;
      OpBuilder builder(get->getContext());
      builder.setInsertionPointAfter(get);
      auto quantize = qf::QuantizeOp::create(builder, get.getLoc(), get.getType().clone(format), get.getValue(),
                                             builder.getStringAttr("rtn"), ValueRange());
      get.getValue().replaceAllUsesExcept(quantize.getRes(), quantize);
    });
  }
};

} // namespace
