//===- RoundToNearest.cpp - the method that needs no data -------------------------------------------------------===//

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

/// Plain numbers are a format too: the type bf16 and the format of that name hold the same bits.
bool sameBits(Type type, qf::ElemType format) {
  auto floats = dyn_cast<FloatType>(type);
  std::string name;
  llvm::raw_string_ostream(name) << type;
  return floats && name == format.getSpec();
}

struct RoundToNearest : quantc::impl::QFRtnBase<RoundToNearest> {
  void runOnOperation() override {
    llvm::DenseMap<StringAttr, qf::ElemType> assigned;
    for (auto weight : getOperation().getOps<nn::WeightOp>())
      if (auto format = weight->getAttrOfType<TypeAttr>(nn::formatAttrName)) {
        auto elem = cast<qf::ElemType>(format.getValue());
        assigned[weight.getSymNameAttr()] = elem;
        weight->removeAttr(nn::formatAttrName);
        auto type = cast<RankedTensorType>(weight.getType());
        if (sameBits(type.getElementType(), elem))
          weight.setType(type.clone(elem));
      }
    getOperation().walk([&](nn::GetOp get) {
      qf::ElemType elem = assigned.lookup(get.getWeightAttr().getAttr());
      auto type = cast<RankedTensorType>(get.getType());
      if (!elem || elem == type.getElementType())
        return;
      if (sameBits(type.getElementType(), elem))
        get.getValue().setType(type.clone(elem));
      else
        quantize(get, elem);
    });
  }

  void quantize(nn::GetOp get, qf::ElemType elem) {
    OpBuilder builder(get->getContext());
    builder.setInsertionPointAfter(get);
    auto type = cast<RankedTensorType>(get.getType()).clone(elem);
    auto quantize =
        qf::QuantizeOp::create(builder, get.getLoc(), type, get.getValue(), builder.getStringAttr("rtn"), ValueRange());
    get.getValue().replaceAllUsesExcept(quantize.getRes(), quantize);
  }
};

} // namespace
