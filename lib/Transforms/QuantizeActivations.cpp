//===- QuantizeActivations.cpp - inputs of linears in codes -------------------------------------------------------===//

#include "quantc/Dialect/NN/NN.h"
#include "quantc/Dialect/QF/Activations.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Support/Files.h"
#include "quantc/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include <map>

namespace quantc {
#define GEN_PASS_DEF_NNQUANTIZEACTIVATIONS
#include "quantc/Transforms/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

struct QuantizeActivations : quantc::impl::NNQuantizeActivationsBase<QuantizeActivations> {
  using NNQuantizeActivationsBase::NNQuantizeActivationsBase;

  void runOnOperation() override {
    if (!all.empty())
      return encodeAll();
    Result<std::filesystem::path> data = dataDirectory();
    Result<qf::ActivationFormat> format = data ? qf::ActivationFormat::load(*data) : tl::unexpected(data.error());
    if (!format) {
      getOperation().emitError() << format.error().message;
      return signalPassFailure();
    }
    quantized.clear();
    for (nn::LinearOp linear : linears()) {
      FailureOr<std::string> spec = activationsOf(linear, *format);
      if (failed(spec))
        return signalPassFailure();
      if (spec->empty()) {
        ++floats;
        if (!requireFast)
          continue;
        linear.emitOpError("has no fast kernel: the codes of its weight ")
            << linear.getWeights().front().getType() << " are neither integers nor bf16";
        return signalPassFailure();
      }
      if (failed(quantizeInput(linear, *spec)))
        return signalPassFailure();
    }
  }

private:
  /// The quantized form of a value for each format, once for each stage that reads it.
  std::map<std::tuple<void *, Block *, std::string>, Value> quantized;

  SmallVector<nn::LinearOp> linears() {
    SmallVector<nn::LinearOp> found;
    getOperation().walk([&](nn::LinearOp linear) { found.push_back(linear); });
    return found;
  }

  /// One format for every input of f32.
  void encodeAll() {
    quantized.clear();
    for (nn::LinearOp linear : linears())
      if (getElementTypeOrSelf(linear.getX()).isF32() && failed(quantizeInput(linear, all)))
        return signalPassFailure();
  }

  LogicalResult quantizeInput(nn::LinearOp linear, const std::string &spec) {
    Value &encoded = quantized[{linear.getX().getAsOpaquePointer(), linear->getBlock(), spec}];
    if (!encoded)
      encoded = encode(linear.getX(), spec, linear->getBlock());
    if (!encoded)
      return failure();
    linear.getXMutable().assign(encoded);
    return success();
  }

  /// Weights of one linear share their input, so what suits them must agree.
  /// "": f32.
  FailureOr<std::string> activationsOf(nn::LinearOp linear, const qf::ActivationFormat &format) {
    std::optional<std::string> common;
    for (Value weight : linear.getWeights()) {
      auto elem = dyn_cast<qf::ElemType>(getElementTypeOrSelf(weight));
      bool floats = getElementTypeOrSelf(linear.getX()).isF32();
      std::string activations;
      if (elem && floats)
        activations = (exactly ? format.suitingExactly(elem.getFormat()) : format.suiting(elem.getFormat())).spec;
      if (common.value_or(activations) != activations)
        return linear.emitOpError(
            "has weights that need different activations; run nn-quantize-activations before fusing");
      common = activations;
    }
    return *common;
  }

  Value encode(Value x, StringRef format, Block *block) {
    ImplicitLocOpBuilder builder(x.getLoc(), &getContext());
    if (x.getParentBlock() == block)
      builder.setInsertionPointAfterValue(x);
    else
      builder.setInsertionPointToStart(block);
    auto elem = qf::ElemType::of(&getContext(), format);
    if (!elem) {
      emitError(x.getLoc()) << elem.error().message;
      return {};
    }
    auto type = cast<RankedTensorType>(x.getType()).clone(*elem);
    Value out = tensor::EmptyOp::create(builder, type, tensor::DimOp::create(builder, x, 0).getResult());
    return qf::EncodeOp::create(builder, TypeRange(type), x, out).getResult(0);
  }
};

} // namespace
