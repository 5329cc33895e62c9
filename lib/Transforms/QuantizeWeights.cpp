//===- QuantizeWeights.cpp - what the passes of all methods share ------------------------------------------------===//

#include "QuantizeWeights.h"
#include "quantc/Format/Decode.h"
#include "quantc/Methods/Gptq.h"
#include "quantc/Transforms/Observers.h"
#include "quantc/Transforms/Weights.h"

using namespace mlir;
using namespace quantc;

/// Plain numbers are a format too: the type bf16 and the format of that name hold the same bits.
static bool sameBits(Type type, qf::ElemType format) {
  if (type == format)
    return true;
  std::string name;
  llvm::raw_string_ostream(name) << type;
  return isa<FloatType>(type) && name == format.getSpec();
}

void quantc::quantizeWeights(ModuleOp module, function_ref<Value(OpBuilder &, WeightUse)> build) {
  SymbolTable symbols(module);
  llvm::DenseSet<StringAttr> tables;
  SmallVector<OpOperand *> uses;
  module.walk([&](Operation *op) {
    if (auto linear = dyn_cast<nn::LinearOp>(op))
      for (OpOperand &weight : linear.getWeightsMutable())
        uses.push_back(&weight);
    if (auto embedding = dyn_cast<nn::EmbeddingOp>(op)) {
      uses.push_back(&embedding.getTableMutable());
      tables.insert(symbols.getSymbolName(symbols.lookup(weightOf(embedding.getTable()))));
    }
  });

  llvm::DenseMap<Value, Value> made;
  llvm::DenseMap<nn::WeightOp, qf::ElemType> sameWeights;
  for (OpOperand *operand : uses) {
    Value value = operand->get();
    auto weight = symbols.lookup<nn::WeightOp>(weightOf(value));
    auto assigned = weight ? weight->getAttrOfType<TypeAttr>(nn::formatAttrName) : TypeAttr();
    if (!assigned)
      continue;
    auto elem = cast<qf::ElemType>(assigned.getValue());
    auto type = cast<RankedTensorType>(value.getType());
    if (value.getDefiningOp<nn::GetOp>() && !nn::isDerived(weight.getFrom()) && sameBits(type.getElementType(), elem)) {
      sameWeights[weight] = elem;
      value.setType(type.clone(elem));
      continue;
    }
    Value &quantized = made[value];
    if (!quantized) {
      OpBuilder builder(module.getContext());
      builder.setInsertionPointAfterValue(value);
      const bool isRounded = tables.contains(weight.getSymNameAttr()) || isPlainFloat(*elem.getFormat());
      quantized = build(builder, {weight, value, type.clone(elem), isRounded});
    }
    operand->set(quantized);
  }
  for (auto [weight, elem] : sameWeights)
    weight.setType(cast<RankedTensorType>(weight.getType()).clone(elem));
  for (auto weight : module.getOps<nn::WeightOp>())
    weight->removeAttr(nn::formatAttrName);
}

LogicalResult FeedbackOptions::check(ModuleOp module) const {
  if (scales != "updated" && scales != "block")
    return module.emitError() << "scales are 'updated' or 'block', found '" << scales << "'";
  if (groups != "static" && groups != "dynamic")
    return module.emitError() << "groups are 'static' or 'dynamic', found '" << groups << "'";
  if (groups == "dynamic" && !actOrder)
    return module.emitError() << "dynamic groups are those of columns in another order: act-order is not given";
  if (!llvm::is_contained({"", "weighted", "mse", "range"}, grid))
    return module.emitError() << "grids are 'weighted', 'mse' or 'range', found '" << grid << "'";
  if (block < 1)
    return module.emitError() << "a block has at least 1 column, found " << block;
  return success();
}

void FeedbackOptions::set(Operation *op) const {
  Builder builder(op->getContext());
  op->setAttr("damp", builder.getF64FloatAttr(damp));
  op->setAttr("scales", builder.getStringAttr(scales));
  if (!grid.empty())
    op->setAttr("grid", builder.getStringAttr(grid));
  if (block != GptqOptions().block)
    op->setAttr("block", builder.getI64IntegerAttr(block));
  if (groups != "static")
    op->setAttr("groups", builder.getStringAttr(groups));
  for (auto [option, attribute] : {std::pair(actOrder, "act_order"), {plain, "plain"}})
    if (option)
      op->setAttr(attribute, builder.getUnitAttr());
}

Value quantc::quantizeByRounding(OpBuilder &builder, WeightUse use) {
  return qf::QuantizeOp::create(builder, use.value.getLoc(), use.type, use.value, builder.getStringAttr("rtn"),
                                ValueRange(), Value());
}

StatisticValues::StatisticValues(ModuleOp module) : module(module), symbols(module), observers(observersOf(module)) {}

Value StatisticValues::get(OpBuilder &builder, StringRef prefix, StringRef weight, int64_t rows, int64_t K) {
  const std::string name = (prefix + observers.lookup(weight)).str();
  auto type = RankedTensorType::get({rows, K}, builder.getF32Type());
  if (!symbols.lookup(name)) {
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPoint(module.lookupSymbol(weight));
    symbols.insert(nn::WeightOp::create(builder, module.getLoc(), name, type,
                                        nn::StatisticAttr::get(builder.getContext(), name), /*hash=*/nullptr));
  }
  return nn::GetOp::create(builder, module.getLoc(), type, name);
}

Value StatisticValues::columns(OpBuilder &builder, StringRef weight, int64_t K) {
  return get(builder, columnsPrefix, weight, 3, K);
}
Value StatisticValues::hessian(OpBuilder &builder, StringRef weight, int64_t K) {
  return get(builder, hessianPrefix, weight, K, K);
}
Value StatisticValues::heldOut(OpBuilder &builder, StringRef weight, int64_t K) {
  return get(builder, heldOutPrefix, weight, K, K);
}

Value quantc::columnScales(Value weight) {
  while (Operation *op = weight.getDefiningOp()) {
    auto scale = dyn_cast<qf::ScaleOp>(op);
    if (scale && scale.getColumns())
      return scale.getScales();
    if (!isa<qf::ScaleOp, qf::ClipOp>(op))
      break;
    weight = op->getOperand(0);
  }
  return nullptr;
}
