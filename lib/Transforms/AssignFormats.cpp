//===- AssignFormats.cpp - which format each matrix gets -------------------------------------------------------------===//

#include "quantc/Dialect/NN/NN.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Transforms/Passes.h"
#include "quantc/Transforms/Weights.h"

#include "quantc/Format/Format.h"
#include "mlir/IR/Builders.h"

namespace quantc {
#define GEN_PASS_DEF_NNASSIGNFORMATS
#include "quantc/Transforms/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

struct AssignFormats : quantc::impl::NNAssignFormatsBase<AssignFormats> {
  using NNAssignFormatsBase::NNAssignFormatsBase;

  void runOnOperation() override {
    for (nn::WeightOp weight : matrices(getOperation())) {
      auto type = cast<RankedTensorType>(weight.getType());
      qf::ElemType elem = format.empty() ? present(type.getElementType()) : elemType(weight, format);
      if (!elem)
        return signalPassFailure();
      weight->setAttr(nn::formatAttrName, TypeAttr::get(elem));
      assigned += elem != type.getElementType();
    }
  }

  /// The format that a weight has already.
  qf::ElemType present(Type type) {
    if (auto elem = dyn_cast<qf::ElemType>(type))
      return elem;
    std::string name;
    llvm::raw_string_ostream(name) << type;
    return qf::ElemType::get(&getContext(), name);
  }

  qf::ElemType elemType(nn::WeightOp weight, StringRef spec) {
    auto found = getContext().getOrLoadDialect<qf::QFDialect>()->format(spec);
    if (found)
      return qf::ElemType::get(&getContext(), (*found)->spec());
    weight.emitError() << found.error().message;
    return nullptr;
  }
};

} // namespace
