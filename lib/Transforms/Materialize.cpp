//===- Materialize.cpp - executes quantizations -----------------------------------------------------------------===//

#include "quantc/Transforms/Materialize.h"

#include "WeightEvaluator.h"
#include "quantc/Artifact/Safetensors.h"
#include "quantc/Dialect/NN/NN.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Format/Format.h"
#include "quantc/Format/PackedFields.h"
#include "quantc/Methods/StatisticsFile.h"
#include "quantc/Support/Files.h"
#include "quantc/Support/Workspace.h"
#include "quantc/Transforms/Observers.h"
#include "quantc/Transforms/Passes.h"
#include "quantc/Transforms/Weights.h"
#include "llvm/ADT/MapVector.h"

namespace quantc {
#define GEN_PASS_DEF_QFMATERIALIZE
#include "quantc/Transforms/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

static std::optional<double> errorOf(nn::WeightOp weight) {
  auto error = weight->getAttrOfType<FloatAttr>(nn::errorAttrName);
  return error ? std::optional(error.getValueAsDouble()) : std::nullopt;
}

namespace {

/// One weight: all values that stand for it in the graph are the same one.
struct Change {
  nn::WeightOp weight;
  SmallVector<Value> results; ///< of qf.quantize, or of the last qf.scale of what stays f32
};

struct Materialize : quantc::impl::QFMaterializeBase<Materialize> {
  using QFMaterializeBase::QFMaterializeBase;
  Materialize(WeightStore &store, MaterializeOptions options) : store(&store), options(std::move(options)) {}

  void runOnOperation() override {
    std::unique_ptr<WeightStore> ownStore;
    std::unique_ptr<StatisticsFile> ownStatistics;
    auto run = [&]() -> Status {
      if (!store) {
        QUANTC_ASSIGN(ownStore, open());
        store = ownStore.get();
      }
      if (!inputs.empty()) {
        QUANTC_ASSIGN(ownStatistics, StatisticsFile::open(inputs.getValue()));
        options.statistics = ownStatistics.get();
      }
      return {};
    };
    auto check = [&](const Status &status) {
      if (!status)
        getOperation().emitError() << status.error().message;
      return bool(status);
    };
    if (!check(run()) || failed(materialize()) || (!output.empty() && !check(write())) ||
        (!values.empty() && !check(writeValues())))
      signalPassFailure();
    if (ownStore)
      store = nullptr;
    if (ownStatistics)
      options.statistics = nullptr;
  }

  /// The store of the model that an option names: for pipelines in text. Without a model there are only constants.
  /// Kernel storage is made where somebody wants it.
  Result<std::unique_ptr<WeightStore>> open() {
    QUANTC_ASSIGN(std::filesystem::path data, dataDirectory());
    QUANTC_ASSIGN(std::shared_ptr<Catalog> catalog, Catalog::open(data));
    std::shared_ptr<const Checkpoint> checkpoint;
    if (!model.empty()) {
      QUANTC_ASSIGN(checkpoint, Checkpoint::open(model.getValue(), *catalog));
    }
    return WeightStore::create(checkpoint, rows, std::filesystem::temp_directory_path(), /*threads=*/0,
                               output.empty() ? KeepAs::Fields : KeepAs::KernelStorage);
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

  /// The values that an option wants.
  Status writeValues() {
    std::vector<SafetensorsSpec> tensors;
    for (auto &[weight, numbers] : changed)
      tensors.push_back({.name = weight.getSymName().str(),
                         .dtype = "F32",
                         .shape = cast<RankedTensorType>(weight.getType()).getShape().vec()});
    QUANTC_ASSIGN(TensorWriter writer, createSafetensors(values.getValue(), std::move(tensors), {.keepOrder = true}));
    for (auto &[weight, numbers] : changed)
      QUANTC_TRY(writer.append(std::as_bytes(std::span(numbers))));
    return writer.commit();
  }

  /// What is to be executed, in the order of the graph: methods may depend on what came before.
  LogicalResult findChanges(SmallVectorImpl<Change> &changes) {
    SymbolTable symbols(getOperation());
    llvm::DenseMap<nn::WeightOp, size_t> places;
    WalkResult walked = getOperation().walk([&](Operation *op) {
      auto scale = dyn_cast<qf::ScaleOp>(op);
      const bool isLast =
          scale && llvm::none_of(op->getUsers(), llvm::IsaPred<qf::ScaleOp, qf::ClipOp, qf::QuantizeOp>);
      if (!isa<qf::QuantizeOp>(op) && !isLast)
        return WalkResult::advance();
      Value result = op->getResult(0);
      auto weight = symbols.lookup<nn::WeightOp>(weightOf(result));
      if (!weight)
        return op->emitOpError("quantizes what is no nn.get"), WalkResult::interrupt();
      auto [place, isNew] = places.try_emplace(weight, changes.size());
      if (isNew)
        changes.push_back({weight, {}});
      Change &change = changes[place->second];
      if (!change.results.empty() && change.results.front().getType() != result.getType())
        return op->emitOpError() << "gives weight @" << weight.getSymName() << " a second format",
               WalkResult::interrupt();
      change.results.push_back(result);
      return WalkResult::advance();
    });
    return failure(walked.wasInterrupted());
  }

  LogicalResult materialize() {
    SmallVector<Change> changes;
    if (failed(findChanges(changes)))
      return failure();
    uint64_t total = 0, done = 0;
    for (const Change &change : changes)
      total += cast<RankedTensorType>(change.results.front().getType()).getNumElements();
    WeightEvaluator evaluator(*store, options);
    // Values are asked for in the types that weights had, so the graph changes when all is computed.
    for (Change &change : changes) {
      Value result = change.results.front();
      const Status status = Workspace::guard([&] {
        return result.getDefiningOp<qf::ScaleOp>() ? keep(evaluator, change.weight, result)
                                                   : quantize(evaluator, change.weight, result);
      });
      if (!status)
        return change.weight.emitError() << status.error().message;
      done += cast<RankedTensorType>(result.getType()).getNumElements();
      if (options.progress)
        options.progress({done, total, change.weight.getSymName(), errorOf(change.weight)});
    }
    for (Change &change : changes)
      replace(change);
    eraseStatistics();
    return success();
  }

  /// What stays f32, divided by factors.
  Status keep(WeightEvaluator &evaluator, nn::WeightOp weight, Value result) {
    QUANTC_ASSIGN(const Floats divided, evaluator.value(result));
    if (!values.empty())
      changed.emplace_back(weight, *divided);
    return store->keep(weight, *divided);
  }

  Status quantize(WeightEvaluator &evaluator, nn::WeightOp weight, Value result) {
    auto op = result.getDefiningOp<qf::QuantizeOp>();
    auto elem = cast<qf::ElemType>(op.getType().getElementType());
    ++encoded;
    weight->setAttr(nn::methodAttrName, op.getMethodAttr());
    // Without statistics, and where nobody wants the values, rows are independent: no whole weight in memory.
    const bool plain = op.getMethod() == "rtn" && op.getW().getDefiningOp<nn::GetOp>();
    const bool leave = plain && options.leavePlain && !nn::isDerived(weight.getFrom());
    if (leave && !options.statistics)
      return {};
    auto setError = [&](double nmse) {
      weight->setAttr(nn::errorAttrName, Builder(&getContext()).getF64FloatAttr(nmse));
    };
    if (plain && !options.leavePlain && !options.statistics && values.empty()) {
      QUANTC_ASSIGN(const WeightError error, store->encode(weight, elem));
      setError(error.nmse());
      return {};
    }
    auto run = [&]() -> Status {
      QUANTC_ASSIGN(const QuantizedWeight quantized, evaluator.quantizeOnce(op));
      if (!leave)
        QUANTC_TRY(store->keep(weight, elem, quantized.packed, quantized.order));
      weight->setAttr(nn::methodAttrName, StringAttr::get(&getContext(), quantized.method));
      setError(quantized.nmse);
      if (!values.empty())
        QUANTC_TRY(keepValues(weight, op, quantized));
      if (!options.statistics)
        return {};
      QUANTC_ASSIGN(const ReadRows read, evaluator.unscaled(op, quantized));
      return options.statistics->replaced(weight.getSymName().str(), read);
    };
    const Status status = run();
    return status ? status : failAt("weight " + weight.getSymName().str(), status.error());
  }

  /// The values of a quantized weight, for the option `values`.
  Status keepValues(nn::WeightOp weight, qf::QuantizeOp op, const QuantizedWeight &quantized) {
    const ArrayRef<int64_t> shape = op.getType().getShape();
    const auto format = cast<qf::ElemType>(op.getType().getElementType()).getFormat();
    std::vector<float> numbers(op.getType().getNumElements());
    QUANTC_TRY(decode(*format, unpackRows(*format, shape[0], shape[1], 0, shape[0], quantized.packed), shape[0],
                      shape[1], numbers.data()));
    restoreColumns(quantized.order, numbers);
    changed.emplace_back(weight, std::move(numbers));
    return {};
  }

  /// The weight takes the place of what was made of it.
  void replace(Change &change) {
    auto type = cast<RankedTensorType>(change.results.front().getType());
    change.weight.setType(type);
    for (Value result : change.results) {
      OpBuilder builder(result.getDefiningOp());
      Value get = nn::GetOp::create(builder, result.getLoc(), type, change.weight.getSymName());
      result.replaceAllUsesWith(get);
    }
  }

  /// Erases what only methods read: their operations, gets of the old types, statistics.
  void eraseStatistics() {
    SmallVector<Operation *> dead;
    getOperation().walk([&](Operation *op) {
      if (isa<nn::GetOp, qf::QuantizeOp, qf::ScaleOp, qf::ClipOp, qf::SearchScalesOp>(op))
        dead.push_back(op);
    });
    for (Operation *op : llvm::reverse(dead))
      if (op->use_empty())
        op->erase();
    llvm::StringMap<unsigned> readers;
    getOperation().walk([&](nn::GetOp get) { ++readers[get.getWeight()]; });
    for (auto weight : llvm::make_early_inc_range(getOperation().getOps<nn::WeightOp>())) {
      StringRef name = weight.getSymName();
      if (!readers.count(name) && llvm::any_of(ArrayRef{columnsPrefix, hessianPrefix, heldOutPrefix},
                                               [&](StringRef prefix) { return name.starts_with(prefix); }))
        weight.erase();
    }
  }

  WeightStore *store = nullptr;
  MaterializeOptions options;
  std::vector<std::pair<nn::WeightOp, std::vector<float>>> changed; ///< values for the option `values`
};

} // namespace

std::unique_ptr<Pass> quantc::createMaterializePass(WeightStore &store, MaterializeOptions options) {
  return std::make_unique<Materialize>(store, std::move(options));
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
    if (StringRef method = weight->getAttrOfType<StringAttr>(nn::methodAttrName); method != "rtn")
      return fail(
          "weight {} was quantized by {}, which has learned from activations: begin with phase 'plan' or before",
          weight.getSymName().str(), method.str());
    QUANTC_ASSIGN(const WeightError error, store.encode(weight, elem));
    weight->setAttr(nn::errorAttrName, Builder(module.getContext()).getF64FloatAttr(error.nmse()));
    done += type.getNumElements();
    if (progress)
      progress({done, total, weight.getSymName(), error.nmse()});
  }
  return {};
}
