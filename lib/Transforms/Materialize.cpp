//===- Materialize.cpp - executes quantizations -----------------------------------------------------------------===//

#include "quantc/Transforms/Materialize.h"

#include "quantc/Dialect/NN/NN.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Format/Format.h"
#include "quantc/Support/Files.h"
#include "quantc/Transforms/Passes.h"
#include "llvm/ADT/MapVector.h"

namespace quantc {
#define GEN_PASS_DEF_QFMATERIALIZE
#include "quantc/Transforms/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

struct Materialize : quantc::impl::QFMaterializeBase<Materialize> {
  using QFMaterializeBase::QFMaterializeBase;
  Materialize(WeightStore &store, EncodeProgress progress) : store(&store), progress(std::move(progress)) {}

  void runOnOperation() override {
    std::unique_ptr<WeightStore> opened;
    if (!store) {
      auto result = open();
      if (!result) {
        getOperation().emitError() << result.error().message;
        return signalPassFailure();
      }
      opened = std::move(*result);
      store = opened.get();
    }
    if (failed(materialize()))
      signalPassFailure();
    if (opened)
      store = nullptr;
  }

  /// The store of the model that an option names: for pipelines in text.
  Result<std::unique_ptr<WeightStore>> open() {
    QUANTC_ASSIGN(std::filesystem::path data, dataDirectory());
    QUANTC_ASSIGN(std::shared_ptr<Catalog> catalog, Catalog::open(data));
    QUANTC_ASSIGN(std::shared_ptr<const Checkpoint> checkpoint, Checkpoint::open(model.getValue(), *catalog));
    return WeightStore::create(checkpoint, rows, std::filesystem::temp_directory_path());
  }

  LogicalResult materialize() {
    // One encoding for all uses of a weight; more than one format of a weight would need more than one name.
    llvm::MapVector<nn::WeightOp, SmallVector<qf::QuantizeOp>> byWeight;
    SymbolTable symbols(getOperation());
    uint64_t total = 0, done = 0;
    WalkResult walked = getOperation().walk([&](qf::QuantizeOp quantize) {
      auto get = quantize.getW().getDefiningOp<nn::GetOp>();
      if (!get)
        return quantize.emitOpError("quantizes what is no nn.get"), WalkResult::interrupt();
      if (quantize.getMethod() != "rtn" || !quantize.getStatistics().empty())
        return quantize.emitOpError() << "method \"" << quantize.getMethod() << "\" is not known; \"rtn\" is",
               WalkResult::interrupt();
      auto weight = symbols.lookup<nn::WeightOp>(get.getWeight());
      SmallVector<qf::QuantizeOp> &same = byWeight[weight];
      if (!same.empty() && same.front().getType() != quantize.getType())
        return quantize.emitOpError() << "gives weight @" << get.getWeight() << " a second format",
               WalkResult::interrupt();
      if (same.empty())
        total += cast<RankedTensorType>(weight.getType()).getNumElements();
      same.push_back(quantize);
      return WalkResult::advance();
    });
    if (walked.wasInterrupted())
      return failure();
    for (auto &entry : byWeight) {
      nn::WeightOp weight = entry.first;
      if (failed(encode(weight, entry.second)))
        return failure();
      done += cast<RankedTensorType>(weight.getType()).getNumElements();
      if (progress)
        progress(done, total);
    }
    return success();
  }

  LogicalResult encode(nn::WeightOp weight, MutableArrayRef<qf::QuantizeOp> uses) {
    auto type = cast<RankedTensorType>(uses.front().getType());
    if (Status status = store->encode(weight, cast<qf::ElemType>(type.getElementType())); !status)
      return weight.emitError() << status.error().message;
    ++encoded;
    weight.setType(type);
    weight->setAttr(nn::methodAttrName, uses.front().getMethodAttr());
    for (qf::QuantizeOp quantize : uses) {
      auto get = quantize.getW().getDefiningOp<nn::GetOp>();
      get.getValue().setType(type);
      quantize.getRes().replaceAllUsesWith(get.getValue());
      quantize.erase();
    }
    return success();
  }

  WeightStore *store = nullptr;
  EncodeProgress progress;
};

} // namespace

std::unique_ptr<Pass> quantc::createMaterializePass(WeightStore &store, EncodeProgress progress) {
  return std::make_unique<Materialize>(store, std::move(progress));
}
