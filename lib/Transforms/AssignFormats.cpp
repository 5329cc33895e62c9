//===- AssignFormats.cpp - which format each matrix gets --------------------------------------------------------===//

#include "quantc/Dialect/NN/NN.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Policy/Policy.h"
#include "quantc/Support/Files.h"
#include "quantc/Transforms/Passes.h"
#include "quantc/Transforms/Weights.h"

#include "mlir/IR/BuiltinTypes.h"

namespace quantc {
#define GEN_PASS_DEF_NNASSIGNFORMATS
#include "quantc/Transforms/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

/// What policies ask about the model, from what the importer said of it.
PolicyModel policyModel(ModuleOp module) {
  auto described = module->getAttrOfType<DictionaryAttr>(nn::modelAttrName);
  auto number = [&](StringRef key, int64_t absent) {
    auto value = described ? described.getAs<IntegerAttr>(key) : IntegerAttr();
    return value ? value.getInt() : absent;
  };
  return {number("layers", 0), number("heads", 1), number("kv_heads", 1), !module.lookupSymbol("output")};
}

struct AssignFormats : quantc::impl::NNAssignFormatsBase<AssignFormats> {
  using NNAssignFormatsBase::NNAssignFormatsBase;

  void runOnOperation() override {
    if (!policy.empty() && failed(loadPolicy()))
      return signalPassFailure();
    for (nn::WeightOp weight : matrices(getOperation())) {
      auto elem = choose(weight);
      if (!elem) {
        weight.emitError() << "weight " << weight.getSymName() << ": " << elem.error().message;
        return signalPassFailure();
      }
      weight->setAttr(nn::formatAttrName, TypeAttr::get(*elem));
      assigned += *elem != cast<RankedTensorType>(weight.getType()).getElementType();
    }
  }

  LogicalResult loadPolicy() {
    auto load = [&]() -> Status {
      if (!format.empty())
        return fail("give a format or a policy, not both");
      QUANTC_ASSIGN(std::filesystem::path data, dataDirectory());
      QUANTC_ASSIGN(catalog, Catalog::open(data));
      QUANTC_ASSIGN(rules, Policy::load(policy, data));
      return {};
    };
    Status status = load();
    return status ? success() : getOperation().emitError() << status.error().message;
  }

  Result<qf::ElemType> choose(nn::WeightOp weight) {
    auto type = cast<RankedTensorType>(weight.getType());
    if (!format.empty())
      return qf::ElemType::of(&getContext(), format);
    if (rules) {
      PolicyTensor tensor = {weight.getSymName().str() + ".weight", type.getDimSize(0), type.getDimSize(1)};
      QUANTC_ASSIGN(std::string chosen, rules->formatOf(tensor, policyModel(getOperation()), *catalog));
      return qf::ElemType::of(&getContext(), chosen);
    }
    // The format that the weight has already: plain floats are formats too.
    if (auto elem = dyn_cast<qf::ElemType>(type.getElementType()))
      return elem;
    std::string name;
    llvm::raw_string_ostream(name) << type.getElementType();
    return qf::ElemType::of(&getContext(), name);
  }

  std::optional<Policy> rules;
  std::shared_ptr<Catalog> catalog;
};

} // namespace
