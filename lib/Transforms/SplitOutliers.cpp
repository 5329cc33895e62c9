//===- SplitOutliers.cpp - columns with large inputs stay floats ------------------------------------------------===//

#include "quantc/Transforms/SplitOutliers.h"

#include "Derive.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Format/Decode.h"
#include "quantc/Methods/StatisticsFile.h"
#include "quantc/Transforms/Observers.h"
#include "quantc/Transforms/Passes.h"
#include "quantc/Transforms/Weights.h"
#include "llvm/ADT/MapVector.h"

namespace quantc {
#define GEN_PASS_DEF_NNSPLITOUTLIERS
#include "quantc/Transforms/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

/// What takes the place of an input: `inner` without its outliers, `outer` with nothing else.
struct Halves {
  Value inner, outer;
  SmallVector<int64_t> columns; ///< of the outliers
};

struct SplitOutliers : quantc::impl::NNSplitOutliersBase<SplitOutliers> {
  using NNSplitOutliersBase::NNSplitOutliersBase;
  SplitOutliers(StatisticsSource &source, double most) : source(&source) { threshold = most; }

  void runOnOperation() override {
    std::unique_ptr<StatisticsFile> file;
    StatisticsSource *const given = source;
    auto run = [&]() -> Status {
      if (!(threshold > 0))
        return fail("an input is an outlier from a threshold above 0 on, not {}", double(threshold));
      if (!source && !inputs.empty()) {
        QUANTC_ASSIGN(file, StatisticsFile::open(inputs.getValue()));
        source = file.get();
      }
      return split();
    };
    const Status status = run();
    source = given;
    if (status)
      return;
    getOperation().emitError() << status.error().message;
    signalPassFailure();
  }

  /// Inputs in the order of the graph: statistics may be measured while they are asked for.
  Status split() {
    SymbolTable symbols(getOperation());
    llvm::MapVector<Value, SmallVector<nn::LinearOp>> byInput;
    getOperation().walk([&](nn::LinearOp linear) {
      const bool isSplit = llvm::any_of(linear.getWeights(), [&](Value weight) {
        auto op = symbols.lookup<nn::WeightOp>(weightOf(weight));
        auto format = op ? op->getAttrOfType<TypeAttr>(nn::formatAttrName) : TypeAttr();
        return format && !isPlainFloat(*cast<qf::ElemType>(format.getValue()).getFormat());
      });
      if (isSplit && !linear.getGate() && !linear.getResidual())
        byInput[linear.getX()].push_back(linear);
    });
    const llvm::StringMap<std::string> observers = observersOf(getOperation());
    for (auto &[input, linears] : byInput) {
      StringRef name = weightOf(linears.front().getWeights().front());
      QUANTC_ASSIGN(const std::vector<float> largest, maxima(observers.lookup(name), symbols));
      if (static_cast<int64_t>(largest.size()) != linears.front().getK())
        return fail("the statistics of {} have {} features, its input {}", name.str(), largest.size(),
                    linears.front().getK());
      Halves halves;
      for (auto [k, most] : llvm::enumerate(largest))
        if (most >= threshold)
          halves.columns.push_back(k);
      if (halves.columns.empty())
        continue;
      outliers += halves.columns.size();
      halve(input, name, linears.front(), halves, symbols);
      for (nn::LinearOp linear : linears)
        splitLinear(linear, halves, symbols);
    }
    return {};
  }

  /// The largest |x| of each feature: row 2 of the columns.
  Result<std::vector<float>> maxima(const std::string &observer, const SymbolTable &symbols) {
    auto weight = symbols.lookup<nn::WeightOp>((columnsPrefix + observer).str());
    if (auto constant = weight ? dyn_cast<DenseFPElementsAttr>(weight.getFrom()) : DenseFPElementsAttr()) {
      std::vector<float> values(constant.value_begin<float>(), constant.value_end<float>());
      values.erase(values.begin(), values.begin() + values.size() / 3 * 2);
      return values;
    }
    if (!source)
      return fail("{}{} is not known: give a text to calibrate with, or statistics", columnsPrefix.str(), observer);
    QUANTC_ASSIGN(const auto known, source->of(observer, /*hessian=*/false));
    if (known->maxAbs.empty())
      return fail("the statistics do not have the largest inputs of {}: calibrate with quantc", observer);
    return known->maxAbs;
  }

  nn::WeightOp addWeight(const Twine &name, RankedTensorType type, Attribute from, nn::WeightOp after,
                         SymbolTable &symbols) {
    OpBuilder builder(&getContext());
    builder.setInsertionPointAfter(after);
    auto weight = nn::WeightOp::create(builder, after.getLoc(), name.str(), type, from, /*hash=*/nullptr);
    symbols.insert(weight);
    return weight;
  }

  static Value get(OpBuilder &builder, nn::WeightOp weight) {
    return nn::GetOp::create(builder, weight.getLoc(), weight.getType(), weight.getSymName());
  }

  void halve(Value input, StringRef name, nn::LinearOp first, Halves &halves, SymbolTable &symbols) {
    OpBuilder builder(first);
    const Location loc = first.getLoc();
    auto type = cast<RankedTensorType>(input.getType());
    auto weight = symbols.lookup<nn::WeightOp>(name);
    auto factorsType = RankedTensorType::get({type.getDimSize(1)}, builder.getF32Type());
    Attribute ones = DenseElementsAttr::get(factorsType, 1.0f);
    auto factors = addWeight(name + ".inner", factorsType, nn::ClearedAttr::get(&getContext(), ones, halves.columns),
                             weight, symbols);
    const auto places = llvm::to_vector_of<int32_t>(halves.columns);
    auto tableType = RankedTensorType::get({int64_t(places.size())}, builder.getI32Type());
    auto table =
        addWeight(name + ".columns", tableType, DenseElementsAttr::get(tableType, ArrayRef(places)), factors, symbols);
    halves.inner = nn::ScaleOp::create(builder, loc, type, input, get(builder, factors));
    halves.outer = nn::GatherOp::create(
        builder, loc, RankedTensorType::get({type.getDimSize(0), int64_t(places.size())}, type.getElementType()), input,
        get(builder, table));
  }

  void splitLinear(nn::LinearOp linear, const Halves &halves, SymbolTable &symbols) {
    OpBuilder builder(linear);
    SmallVector<Value> chosen;
    for (OpOperand &operand : linear.getWeightsMutable()) {
      nn::WeightOp weight = ownWeight(operand, symbols);
      chosen.push_back(get(builder, outlierWeight(weight, halves.columns, symbols)));
      derive(weight, [&](Attribute from) { return nn::ClearedAttr::get(&getContext(), from, halves.columns); });
    }
    linear.getXMutable().assign(halves.inner);
    auto outer = nn::LinearOp::create(builder, linear.getLoc(), linear.getResultTypes(), halves.outer, chosen,
                                      /*biases=*/ValueRange(), /*residual=*/Value(), /*gate=*/nullptr);
    builder.setInsertionPointAfter(linear);
    for (auto [inner, other] : llvm::zip(linear.getResults(), outer.getResults())) {
      auto sum = nn::AddOp::create(builder, linear.getLoc(), inner.getType(), inner, other);
      inner.replaceAllUsesExcept(sum, sum);
    }
  }

  /// The columns of outliers, in the float format that the weight has, or in f16.
  nn::WeightOp outlierWeight(nn::WeightOp weight, ArrayRef<int64_t> columns, SymbolTable &symbols) {
    auto type = cast<RankedTensorType>(weight.getType());
    const Type element = type.getElementType();
    const bool isBrain = element.isBF16();
    auto shape = RankedTensorType::get({type.getDimSize(0), int64_t(columns.size())}, Float32Type::get(&getContext()));
    auto result = addWeight(weight.getSymName() + ".outliers", shape,
                            nn::ChosenAttr::get(&getContext(), weight.getFrom(), columns), weight, symbols);
    if (auto elem = qf::ElemType::of(&getContext(), isBrain ? "bf16" : "f16"))
      result->setAttr(nn::formatAttrName, TypeAttr::get(*elem));
    return result;
  }

  StatisticsSource *source = nullptr;
};

} // namespace

std::unique_ptr<Pass> quantc::createSplitOutliersPass(StatisticsSource &source, double threshold) {
  return std::make_unique<SplitOutliers>(source, threshold);
}
