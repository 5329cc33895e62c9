//===- Awq.cpp - factors of columns, folded into what comes before ----------------------------------------------===//

#include "QuantizeWeights.h"
#include "quantc/Format/Decode.h"
#include "quantc/Transforms/Passes.h"
#include "quantc/Transforms/Weights.h"
#include "llvm/ADT/MapVector.h"

namespace quantc {
#define GEN_PASS_DEF_QFAWQ
#include "quantc/Transforms/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

/// Linears that read one input, and where it can be divided by factors.
struct ScalingGroup {
  SmallVector<OpOperand *> weights;
  SmallVector<OpOperand *> before; ///< the weight, and the bias, whose rows make the features of the input
};

/// The operands of the op before that are divided when its output is: none where that changes the model. `users`: the
/// linears that read the output.
SmallVector<OpOperand *> foldable(Value input, ArrayRef<nn::LinearOp> users) {
  auto readOnlyBy = [](Value value, ArrayRef<Operation *> ops) {
    return llvm::all_of(value.getUsers(), [&](Operation *user) { return llvm::is_contained(ops, user); });
  };
  auto rowsOf = [](nn::LinearOp linear) {
    SmallVector<OpOperand *> operands;
    if (linear && linear.getWeights().size() == 1 && !linear.getGate() && !linear.getResidual()) {
      operands.push_back(&linear.getWeightsMutable()[0]);
      for (OpOperand &bias : linear.getBiasesMutable())
        operands.push_back(&bias);
    }
    return operands;
  };
  if (!readOnlyBy(input, SmallVector<Operation *>(users)))
    return {};
  Operation *op = input.getDefiningOp();
  if (auto norm = dyn_cast_or_null<nn::RmsNormOp>(op); norm && norm.getWeight().getType() == [&] {
        auto type = cast<RankedTensorType>(norm.getX().getType());
        return RankedTensorType::get({type.getDimSize(1)}, type.getElementType());
      }())
    return {&norm.getWeightMutable()};
  // The product of a gated activation is linear in its second factor.
  if (auto gated = dyn_cast_or_null<nn::GatedOp>(op))
    return readOnlyBy(gated.getUp(), {op}) ? rowsOf(gated.getUp().getDefiningOp<nn::LinearOp>())
                                           : SmallVector<OpOperand *>();
  // Attention is linear in the values; with grouped queries a feature of a value serves several of the output.
  if (auto attention = dyn_cast_or_null<nn::AttentionOp>(op)) {
    auto append = attention.getValues().getDefiningOp<nn::KvAppendOp>();
    if (append && append.getV().getType() == input.getType() && readOnlyBy(append.getV(), {append.getOperation()}))
      return rowsOf(append.getV().getDefiningOp<nn::LinearOp>());
  }
  return {};
}

struct Awq : quantc::impl::QFAwqBase<Awq> {
  using QFAwqBase::QFAwqBase;

  void runOnOperation() override {
    if (method != "rtn" && method != "gptq") {
      getOperation().emitError() << "factors can be searched for rtn or gptq, found '" << method << "'";
      return signalPassFailure();
    }
    const FeedbackOptions options{damp, scales, grid, block, plain, actOrder, groups};
    if (failed(options.check(getOperation())))
      return signalPassFailure();
    SymbolTable symbols(getOperation());
    llvm::MapVector<Value, SmallVector<nn::LinearOp>> byInput;
    llvm::StringMap<unsigned> readers;
    getOperation().walk([&](Operation *op) {
      if (auto linear = dyn_cast<nn::LinearOp>(op))
        byInput[linear.getX()].push_back(linear);
      if (auto get = dyn_cast<nn::GetOp>(op))
        ++readers[get.getWeight()];
    });
    // Whose rows or columns are scaled must be read in one place, and be quantized.
    auto isOwn = [&](OpOperand &operand) { return readers.lookup(weightOf(operand.get())) == 1; };
    auto formatOf = [&](OpOperand &operand) -> TypeAttr {
      auto weight = symbols.lookup<nn::WeightOp>(weightOf(operand.get()));
      auto format = weight ? weight->getAttrOfType<TypeAttr>(nn::formatAttrName) : TypeAttr();
      // A plain number loses nothing that factors or limits would save.
      return format && isPlainFloat(*cast<qf::ElemType>(format.getValue()).getFormat()) ? TypeAttr() : format;
    };
    StatisticValues statistics(getOperation());
    for (auto &[input, linears] : byInput) {
      SmallVector<OpOperand *> weights, before = foldable(input, linears);
      for (nn::LinearOp linear : linears)
        for (OpOperand &weight : linear.getWeightsMutable())
          weights.push_back(&weight);
      auto usable = [&](OpOperand *operand) { return isOwn(*operand) && formatOf(*operand); };
      if (before.empty() || !llvm::all_of(before, [&](OpOperand *one) { return isOwn(*one); }) ||
          !llvm::all_of(weights, usable))
        continue;
      scale(input, weights, before, statistics, formatOf, options);
      ++scaled;
    }
    if (clip)
      clipWeights(statistics, byInput.takeVector(), isOwn, formatOf);
  }

  using FormatOf = function_ref<TypeAttr(OpOperand &)>;

  void scale(Value input, ArrayRef<OpOperand *> weights, ArrayRef<OpOperand *> before, StatisticValues &statistics,
             FormatOf formatOf, const FeedbackOptions &options) {
    // Before everything that reads the factors: the first of the weights that are divided.
    OpBuilder builder(before.front()->getOwner());
    Location loc = input.getLoc();
    const int64_t K = cast<RankedTensorType>(input.getType()).getDimSize(1);
    StringRef name = weightOf(weights.front()->get());
    SmallVector<Value> originals;
    SmallVector<Attribute> formats;
    for (OpOperand *weight : weights) {
      originals.push_back(nn::GetOp::create(builder, loc, originalOf(*weight).getType(), weightOf(weight->get())));
      formats.push_back(formatOf(*weight));
    }
    Value columns = statistics.columns(builder, name, K), products = statistics.hessian(builder, name, K);
    auto factors = qf::SearchScalesOp::create(
        builder, loc, RankedTensorType::get({K}, builder.getF32Type()), originals, columns, products,
        heldOut ? statistics.heldOut(builder, name, K) : Value(), builder.getArrayAttr(formats));
    if (method == "gptq") {
      factors->setAttr("method", builder.getStringAttr(method));
      options.set(factors);
    }
    for (OpOperand *operand : before)
      replace(*operand, factors, /*columns=*/false);
    for (OpOperand *weight : weights)
      replace(*weight, factors, /*columns=*/true);
  }

  static nn::GetOp originalOf(OpOperand &operand) {
    Value value = operand.get();
    while (auto scale = value.getDefiningOp<qf::ScaleOp>())
      value = scale.getW();
    return value.getDefiningOp<nn::GetOp>();
  }

  static void replace(OpOperand &operand, Value factors, bool columns) {
    OpBuilder builder(operand.getOwner());
    auto type = cast<RankedTensorType>(operand.get().getType()).clone(builder.getF32Type());
    operand.set(qf::ScaleOp::create(builder, operand.getOwner()->getLoc(), type, operand.get(), factors, columns));
  }

  /// Queries and keys are left alone: what their products do to the softmax is no matter of their own error.
  void clipWeights(StatisticValues &statistics, ArrayRef<std::pair<Value, SmallVector<nn::LinearOp>>> byInput,
                   function_ref<bool(OpOperand &)> isOwn, FormatOf formatOf) {
    for (auto &[input, linears] : byInput)
      for (nn::LinearOp linear : linears)
        for (OpOperand &weight : linear.getWeightsMutable()) {
          TypeAttr format = formatOf(weight);
          if (!format || !isOwn(weight) || feedsScores(linear))
            continue;
          OpBuilder builder(linear);
          auto type = cast<RankedTensorType>(weight.get().getType());
          const int64_t K = type.getDimSize(1);
          StringRef name = weightOf(weight.get());
          weight.set(qf::ClipOp::create(builder, linear.getLoc(), type.clone(builder.getF32Type()), weight.get(),
                                        statistics.columns(builder, name, K), statistics.hessian(builder, name, K),
                                        columnScales(weight.get()), format));
        }
  }

  static bool feedsScores(nn::LinearOp linear) {
    return llvm::any_of(linear->getUsers(), [](Operation *user) {
      auto norm = dyn_cast<nn::RmsNormOp>(user);
      return isa<nn::RopeOp>(user) || (norm && llvm::any_of(norm->getUsers(), llvm::IsaPred<nn::RopeOp>));
    });
  }
};

} // namespace
