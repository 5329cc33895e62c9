//===- EvaluatorStatistics.cpp - what methods know of the inputs of a weight -------------------------------------===//

#include "WeightEvaluator.h"

#include "mlir/IR/SymbolTable.h"
#include "quantc/Methods/Awq.h"
#include "quantc/Transforms/Observers.h"

using namespace mlir;
using namespace quantc;

std::pair<int64_t, int64_t> quantc::extents(Value weight) {
  auto shape = cast<RankedTensorType>(weight.getType()).getShape();
  return {shape.size() == 1 ? 1 : shape[0], shape.back()};
}

nn::WeightOp quantc::weightNamed(nn::GetOp get) {
  return SymbolTable::lookupNearestSymbolFrom<nn::WeightOp>(get, get.getWeightAttr());
}

/// Of the input that an observer sees. What was made of another input is dropped first: there is memory for one.
Result<std::shared_ptr<const InputStatistics>> WeightEvaluator::observed(StringRef observer, bool hessian) {
  if (!source)
    return fail("{}{} is not known: give a text to calibrate with, or statistics", columnsPrefix.str(), observer.str());
  if (input.observer != observer)
    input = Input{.observer = observer.str()};
  QUANTC_ASSIGN(auto found, source->of(input.observer, hessian));
  if (found != input.statistics)
    input = Input{.observer = observer.str(), .statistics = found};
  return found;
}

/// Of statistics that stand in the IR.
Result<std::shared_ptr<const InputStatistics>> WeightEvaluator::constants(ValueRange values) {
  auto own = std::make_shared<InputStatistics>();
  const int64_t K = own->K = extents(values.front()).second;
  own->tokens = 1;
  QUANTC_ASSIGN(const Floats columns, value(values.front()));
  own->meanAbs.assign(columns->begin(), columns->begin() + K);
  own->meanSquare.assign(columns->begin() + K, columns->begin() + 2 * K);
  own->maxAbs.assign(columns->begin() + 2 * K, columns->end());
  if (values.size() > 1) {
    QUANTC_ASSIGN(const Floats products, value(values[1]));
    own->hessian.assign(products->begin(), products->end());
  }
  return own;
}

Result<std::shared_ptr<const InputStatistics>> WeightEvaluator::statistics(ValueRange values, Value scales) {
  auto get = values.front().getDefiningOp<nn::GetOp>();
  nn::WeightOp weight = get ? weightNamed(get) : nn::WeightOp();
  if (!weight)
    return fail("a statistic is no nn.get");
  std::shared_ptr<const InputStatistics> found;
  if (auto statistic = dyn_cast<nn::StatisticAttr>(weight.getFrom())) {
    StringRef observer = statistic.getName();
    if (!observer.consume_front(columnsPrefix))
      return fail("{}: no statistic of columns is called so", statistic.getName().str());
    QUANTC_ASSIGN(found, observed(observer, values.size() > 1));
  } else {
    QUANTC_ASSIGN(found, constants(values));
  }
  if (!scales)
    return found;
  QUANTC_ASSIGN(const Floats s, value(scales));
  if (found == input.statistics && s == input.scales)
    return input.divided;
  if (found == input.statistics)
    input.divided = nullptr; // there is memory for one
  auto divided = std::make_shared<const InputStatistics>(dividedInputs(*found, *s, memory));
  if (found == input.statistics) {
    input.scales = s;
    input.divided = divided;
  }
  return divided;
}

Result<WeightEvaluator::Statistics> WeightEvaluator::heldOut(Value value, Value scales) {
  auto get = value.getDefiningOp<nn::GetOp>();
  nn::WeightOp weight = get ? weightNamed(get) : nn::WeightOp();
  if (!weight)
    return fail("a statistic is no nn.get");
  Statistics found;
  if (auto statistic = dyn_cast<nn::StatisticAttr>(weight.getFrom())) {
    StringRef observer = statistic.getName();
    if (!observer.consume_front(heldOutPrefix))
      return fail("{}: no held-out statistic is called so", statistic.getName().str());
    if (!source)
      return fail("{} is not known: give a text to calibrate with", statistic.getName().str());
    QUANTC_ASSIGN(found, source->heldOut(observer.str()));
  } else {
    QUANTC_ASSIGN(const Floats numbers, this->value(value));
    InputStatistics own{.K = extents(value).second, .tokens = 1};
    own.hessian.assign(numbers->begin(), numbers->end());
    found = std::make_shared<const InputStatistics>(std::move(own));
  }
  QUANTC_TRY(checkHessian(*found));
  if (!scales)
    return found;
  QUANTC_ASSIGN(const Floats s, this->value(scales));
  return std::make_shared<const InputStatistics>(dividedInputs(*found, *s, memory));
}
