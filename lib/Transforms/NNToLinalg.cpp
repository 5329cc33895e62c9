//===- NNToLinalg.cpp - linears and element-wise layers as linalg and qf ----------------------------------------===//

#include "quantc/Dialect/NN/NN.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace quantc {
#define GEN_PASS_DEF_NNTOLINALG
#include "quantc/Transforms/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

/// Where a result is written: the destination of the kernel where the result goes nowhere else, or new memory.
class Destinations {
public:
  explicit Destinations(ImplicitLocOpBuilder &builder) : builder(builder) {}

  Value of(Value result) {
    if (auto materialize = materializeOf(result))
      return materialize.getDest();
    return empty(result);
  }
  /// An uninitialized tensor of the result's type, with as many tokens as its destination.
  Value empty(Value result) {
    auto type = cast<RankedTensorType>(result.getType());
    SmallVector<Value> dynamic;
    if (type.isDynamicDim(0))
      dynamic.push_back(tensor::DimOp::create(builder, result.getDefiningOp()->getOperand(0), 0));
    return tensor::EmptyOp::create(builder, type, dynamic);
  }
  /// Lets `value` take the place of `result`, and of its copy into the destination.
  static void replace(Value result, Value value) {
    if (auto materialize = materializeOf(result)) {
      materialize->replaceAllUsesWith(ValueRange(value));
      materialize->erase();
    }
    result.replaceAllUsesWith(value);
  }

private:
  static bufferization::MaterializeInDestinationOp materializeOf(Value result) {
    if (!result.hasOneUse())
      return nullptr;
    return dyn_cast<bufferization::MaterializeInDestinationOp>(*result.user_begin());
  }
  ImplicitLocOpBuilder &builder;
};

class Lowering {
public:
  Lowering(Operation *op, bool exact) : builder(op->getLoc(), op), destinations(builder), exact(exact) {}

  LogicalResult lower(Operation *op) {
    if (auto linear = dyn_cast<nn::LinearOp>(op))
      return lowerLinear(linear);
    if (auto embedding = dyn_cast<nn::EmbeddingOp>(op))
      return lowerEmbedding(embedding);
    if (auto gather = dyn_cast<nn::GatherOp>(op))
      return lowerGather(gather);
    if (auto scale = dyn_cast<nn::ScaleOp>(op))
      return lowerElementwise(scale.getY(), scale->getOperands(), [](OpBuilder &b, Location loc, ValueRange in) {
        return arith::MulFOp::create(b, loc, in[0], in[1]).getResult();
      });
    if (auto gated = dyn_cast<nn::GatedOp>(op))
      return lowerElementwise(
          gated.getY(), {gated.getGate(), gated.getUp()},
          [&](OpBuilder &b, Location loc, ValueRange in) { return gate(b, loc, gated.getActivation(), in); });
    if (auto add = dyn_cast<nn::AddOp>(op))
      return lowerElementwise(add.getY(), {add.getA(), add.getB()}, [](OpBuilder &b, Location loc, ValueRange in) {
        return arith::AddFOp::create(b, loc, in[0], in[1]).getResult();
      });
    return failure();
  }

private:
  using Body = function_ref<Value(OpBuilder &, Location, ValueRange)>;

  Value constant(OpBuilder &b, Location loc, double value) {
    return arith::ConstantOp::create(b, loc, b.getF32FloatAttr(value));
  }

  /// activation(x) · y.
  Value gate(OpBuilder &b, Location loc, nn::Activation activation, ValueRange in) {
    return arith::MulFOp::create(b, loc, activate(b, loc, activation, in[0]), in[1]);
  }

  Value activate(OpBuilder &b, Location loc, nn::Activation activation, Value x) {
    auto logistic = [&](Value v) -> Value { // v / (1 + exp(-v))
      Value power = math::ExpOp::create(b, loc, arith::NegFOp::create(b, loc, v));
      return arith::AddFOp::create(b, loc, constant(b, loc, 1), power);
    };
    switch (activation) {
    case nn::Activation::Silu:
      return arith::DivFOp::create(b, loc, x, logistic(x));
    case nn::Activation::GeluTanh: { // x · logistic(2 · sqrt(2/π) · (x + 0.044715 x³))
      Value cube = arith::MulFOp::create(b, loc, arith::MulFOp::create(b, loc, x, x), x);
      Value inner = arith::AddFOp::create(b, loc, x, arith::MulFOp::create(b, loc, cube, constant(b, loc, 0.044715)));
      Value scaled = arith::MulFOp::create(b, loc, inner, constant(b, loc, 1.5957691216057308));
      return arith::DivFOp::create(b, loc, x, logistic(scaled));
    }
    case nn::Activation::Relu:
      return arith::MaximumFOp::create(b, loc, x, constant(b, loc, 0));
    }
    llvm_unreachable("an activation of the enumeration");
  }

  /// One linalg.generic over tokens × features; inputs of one dimension hold for every token.
  Value elementwise(Value destination, ValueRange inputs, Body body) {
    MLIRContext *context = builder.getContext();
    AffineMap identity = builder.getMultiDimIdentityMap(2);
    AffineMap perFeature = AffineMap::get(2, 0, getAffineDimExpr(1, context));
    SmallVector<AffineMap> maps;
    for (Value input : inputs)
      maps.push_back(cast<RankedTensorType>(input.getType()).getRank() == 1 ? perFeature : identity);
    maps.push_back(identity);
    SmallVector<utils::IteratorType> parallel(2, utils::IteratorType::parallel);
    return linalg::GenericOp::create(builder, destination.getType(), inputs, destination, maps, parallel,
                                     [&](OpBuilder &b, Location loc, ValueRange in) {
                                       linalg::YieldOp::create(b, loc, body(b, loc, in.drop_back()));
                                     })
        .getResult(0);
  }

  LogicalResult lowerElementwise(Value result, ValueRange inputs, Body body) {
    Operation *op = result.getDefiningOp();
    Destinations::replace(result, elementwise(destinations.of(result), inputs, body));
    op->erase();
    return success();
  }

  /// A gather: the column to read is an input of the generic, x is read from inside.
  LogicalResult lowerGather(nn::GatherOp op) {
    return lowerElementwise(op.getY(), op.getColumns(), [&](OpBuilder &b, Location loc, ValueRange in) {
      Value token = linalg::IndexOp::create(b, loc, 0);
      Value column = arith::IndexCastOp::create(b, loc, b.getIndexType(), in[0]);
      return tensor::ExtractOp::create(b, loc, op.getX(), ValueRange{token, column}).getResult();
    });
  }

  Value contract(Value x, Value weight, Value destination) {
    Value init = linalg::FillOp::create(builder, constant(builder, builder.getLoc(), 0), destination).getResult(0);
    return qf::ContractOp::create(builder, init.getType(), x, weight, init, exact);
  }

  LogicalResult lowerLinear(nn::LinearOp op) {
    for (Value weight : op.getWeights())
      if (!isa<qf::ElemType>(getElementTypeOrSelf(weight)))
        return op.emitOpError() << "weight " << weight.getType()
                                << " has no format yet; run nn-assign-formats and a method";
    bool epilogue = op.getGate() || op.getResidual() || !op.getBiases().empty();
    if (op.getGate()) {
      lowerGate(op);
    } else {
      for (auto [i, result] : llvm::enumerate(op.getResults())) {
        Value sum =
            contract(op.getX(), op.getWeights()[i], epilogue ? destinations.empty(result) : destinations.of(result));
        Destinations::replace(result, epilogue ? addTo(sum, op, i) : sum);
      }
    }
    op.erase();
    return success();
  }

  /// Bias and residual of result `i`.
  Value addTo(Value sum, nn::LinearOp op, unsigned i) {
    SmallVector<Value> inputs = {sum};
    if (!op.getBiases().empty())
      inputs.push_back(op.getBiases()[i]);
    if (op.getResidual())
      inputs.push_back(op.getResidual());
    return elementwise(destinations.of(op.getResult(i)), inputs, [](OpBuilder &b, Location loc, ValueRange in) {
      Value y = in[0];
      for (Value term : in.drop_front())
        y = arith::AddFOp::create(b, loc, y, term);
      return y;
    });
  }

  void lowerGate(nn::LinearOp op) {
    Value result = op.getResult(0);
    SmallVector<Value> inputs;
    for (Value weight : op.getWeights())
      inputs.push_back(contract(op.getX(), weight, destinations.empty(result)));
    llvm::append_range(inputs, op.getBiases());
    Value y = elementwise(destinations.of(result), inputs, [&](OpBuilder &b, Location loc, ValueRange in) {
      SmallVector<Value> terms(in.take_front(2));
      for (unsigned i = 0; i < in.size() - 2; ++i)
        terms[i] = arith::AddFOp::create(b, loc, terms[i], in[2 + i]);
      return gate(b, loc, *op.getGate(), terms);
    });
    Destinations::replace(result, y);
  }

  LogicalResult lowerEmbedding(nn::EmbeddingOp op) {
    Value destination = destinations.of(op.getY());
    Value y = qf::DecodeOp::create(builder, destination.getType(), op.getTable(), op.getTokens(), destination);
    Destinations::replace(op.getY(), y);
    op.erase();
    return success();
  }

  ImplicitLocOpBuilder builder;
  Destinations destinations;
  bool exact;
};

struct NNToLinalg : quantc::impl::NNToLinalgBase<NNToLinalg> {
  using NNToLinalgBase::NNToLinalgBase;

  void runOnOperation() override {
    SmallVector<Operation *> ops;
    getOperation().walk([&](Operation *op) {
      auto embedding = dyn_cast<nn::EmbeddingOp>(op);
      if (isa<nn::LinearOp, nn::GatherOp, nn::ScaleOp, nn::GatedOp, nn::AddOp>(op) ||
          (embedding && isa<qf::ElemType>(getElementTypeOrSelf(embedding.getTable()))))
        ops.push_back(op);
    });
    for (Operation *op : ops)
      if (failed(Lowering(op, exact).lower(op)))
        return signalPassFailure();
  }
};

} // namespace
