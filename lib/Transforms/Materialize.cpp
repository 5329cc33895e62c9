//===- Materialize.cpp - executes quantizations -----------------------------------------------------------------===//

#include "quantc/Transforms/Materialize.h"

#include "quantc/Artifact/Safetensors.h"
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
    else if (Status status = output.empty() ? Status() : write(); !status) {
      getOperation().emitError() << status.error().message;
      signalPassFailure();
    }
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

  /// All weights into the file that an option names.
  Status write() {
    std::vector<SafetensorsSpec> tensors;
    for (nn::WeightOp weight : getOperation().getOps<nn::WeightOp>()) {
      QUANTC_ASSIGN(uint64_t bytes, store->bytes(weight));
      tensors.push_back({.name = weight.getSymName().str(), .dtype = "U8", .shape = {static_cast<int64_t>(bytes)}});
    }
    QUANTC_ASSIGN(TensorWriter writer,
                  createSafetensors(output.getValue(), std::move(tensors), {.keepOrder = true, .alignment = 64}));
    for (nn::WeightOp weight : getOperation().getOps<nn::WeightOp>())
      QUANTC_TRY(store->write(weight, [&](std::span<const std::byte> bytes) { return writer.append(bytes); }));
    return writer.commit();
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

Status quantc::materializeAgain(ModuleOp module, WeightStore &store, const EncodeProgress &progress) {
  SmallVector<nn::WeightOp> weights;
  uint64_t total = 0, done = 0;
  for (nn::WeightOp weight : module.getOps<nn::WeightOp>())
    if (weight->hasAttr(nn::methodAttrName)) {
      weights.push_back(weight);
      total += cast<RankedTensorType>(weight.getType()).getNumElements();
    }
  for (nn::WeightOp weight : weights) {
    auto type = cast<RankedTensorType>(weight.getType());
    auto elem = dyn_cast<qf::ElemType>(type.getElementType());
    if (!elem)
      return fail("weight {} has a method, but no format", weight.getSymName().str());
    QUANTC_TRY(store.encode(weight, elem));
    done += type.getNumElements();
    if (progress)
      progress(done, total);
  }
  return {};
}
