//===- Rotate.cpp - randomized Hadamard rotations, folded into weights -------------------------------------------===//

#include "Derive.h"
#include "quantc/Transforms/Passes.h"
#include "quantc/Transforms/Weights.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/DenseSet.h"

namespace quantc {
#define GEN_PASS_DEF_NNROTATE
#include "quantc/Transforms/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

namespace {

/// A weight that changes with the features that it reads (its columns) or gives (its rows; a vector's columns).
struct Turn {
  OpOperand *weight;
  nn::Side side;
};

/// The residual stream, and the weights at its banks.
struct Stream {
  int64_t features = 0;
  llvm::DenseSet<Value> values;
  SmallVector<Turn> turns;
};

/// The linear whose only result is `value`, if nothing but `user` reads that; its weight and bias can be changed then.
nn::LinearOp linearBefore(Value value, Operation *user) {
  auto linear = value.getDefiningOp<nn::LinearOp>();
  const bool isOwn = linear && linear.getWeights().size() == 1 && !linear.getGate() && !linear.getResidual() &&
                     llvm::all_of(value.getUsers(), [&](Operation *op) { return op == user; });
  return isOwn ? linear : nn::LinearOp();
}

void turnOutput(nn::LinearOp linear, SmallVectorImpl<Turn> &turns) {
  turns.push_back({&linear.getWeightsMutable()[0], nn::Side::Rows});
  for (OpOperand &bias : linear.getBiasesMutable())
    turns.push_back({&bias, nn::Side::Columns});
}

/// Adds the weights of the linears that read `x`; fails where something else does.
LogicalResult turnInputs(Value x, SmallVectorImpl<Turn> &turns) {
  for (OpOperand &use : x.getUses()) {
    auto linear = dyn_cast<nn::LinearOp>(use.getOwner());
    if (!linear || use.getOperandNumber() != 0)
      return failure();
    for (OpOperand &weight : linear.getWeightsMutable())
      turns.push_back({&weight, nn::Side::Columns});
  }
  return success();
}

struct Rotate : quantc::impl::NNRotateBase<Rotate> {
  using NNRotateBase::NNRotateBase;

  void runOnOperation() override {
    // All is found before anything changes: a model that cannot be rotated stays as it is.
    SymbolTable symbols(getOperation());
    Stream stream;
    WalkResult walked = getOperation().walk<WalkOrder::PreOrder>([&](Operation *op) {
      return failed(follow(op, stream, symbols)) ? WalkResult::interrupt() : WalkResult::advance();
    });
    if (!walked.wasInterrupted() && stream.turns.empty())
      walked =
          (getOperation().emitError("has no nn.embedding, where a residual stream begins"), WalkResult::interrupt());
    for (const Turn &turn : stream.turns)
      if (!walked.wasInterrupted() && !turn.weight->get().getDefiningOp<nn::GetOp>())
        walked = (turn.weight->getOwner()->emitOpError("cannot be rotated: its weight must be an nn.get"),
                  WalkResult::interrupt());
    if (walked.wasInterrupted())
      return signalPassFailure();
    rotate(stream.turns, stream.features, seed, symbols);
    if (heads)
      getOperation().walk([&](nn::AttentionOp attention) { rotateHeads(attention, symbols); });
  }

  /// What an operation does with the residual stream: carries it on, adds to it, or reads it through a norm.
  LogicalResult follow(Operation *op, Stream &stream, const SymbolTable &symbols) {
    auto isStream = [&](Value value) { return stream.values.contains(value); };
    if (auto embedding = dyn_cast<nn::EmbeddingOp>(op)) {
      stream.features = features(embedding.getY());
      stream.turns.push_back({&embedding.getTableMutable(), nn::Side::Columns});
      stream.values.insert(embedding.getY());
      return success();
    }
    if (llvm::none_of(op->getOperands(), isStream))
      return success();
    if (auto last = dyn_cast<nn::LastOp>(op))
      return stream.values.insert(last.getY()), success();
    if (auto yield = dyn_cast<nn::YieldOp>(op)) {
      for (auto [value, result] : llvm::zip(yield.getValues(), yield->getParentOp()->getResults()))
        if (isStream(value))
          stream.values.insert(result);
      return success();
    }
    if (auto add = dyn_cast<nn::AddOp>(op)) {
      stream.values.insert(add.getY());
      for (Value term : {add.getA(), add.getB()})
        if (!isStream(term)) {
          nn::LinearOp linear = linearBefore(term, op);
          if (!linear)
            return op->emitOpError("adds to the residual stream what is no output of a linear of its own: "
                                   "this architecture cannot be rotated");
          turnOutput(linear, stream.turns);
        }
      return success();
    }
    if (auto norm = dyn_cast<nn::RmsNormOp>(op))
      return followNorm(norm, stream, symbols);
    return op->emitOpError("reads the residual stream; only norms, sums and nn.last can: this architecture cannot be "
                           "rotated");
  }

  LogicalResult followNorm(nn::RmsNormOp norm, Stream &stream, const SymbolTable &symbols) {
    auto weight = symbols.lookup<nn::WeightOp>(weightOf(norm.getWeight()));
    if (!weight || !isOnes(weight.getFrom()) || features(norm.getWeight()) != features(norm.getX()))
      return norm.emitOpError("multiplies the features of the residual stream: nn-fold-norms comes first, and can fold "
                              "only what linears read");
    if (failed(turnInputs(norm.getY(), stream.turns)))
      return norm.emitOpError("is read by something else than linears: this architecture cannot be rotated");
    return success();
  }

  /// Values, which attention only sums up, and the columns of what reads its output; not where anything is between.
  void rotateHeads(nn::AttentionOp attention, SymbolTable &symbols) {
    auto append = attention.getValues().getDefiningOp<nn::KvAppendOp>();
    nn::LinearOp values = append ? linearBefore(append.getV(), append) : nn::LinearOp();
    SmallVector<Turn> turns;
    if (!values || failed(turnInputs(attention.getY(), turns)))
      return;
    turnOutput(values, turns);
    const int64_t headDim = cast<RankedTensorType>(attention.getValues().getType()).getDimSize(2);
    if (llvm::all_of(turns, [](const Turn &turn) { return turn.weight->get().getDefiningOp<nn::GetOp>(); }))
      rotate(turns, headDim, seed + 1, symbols);
  }

  void rotate(ArrayRef<Turn> turns, int64_t run, uint64_t seed, SymbolTable &symbols) {
    for (const Turn &turn : turns)
      derive(ownWeight(*turn.weight, symbols),
             [&](Attribute from) { return nn::RotatedAttr::get(&getContext(), from, turn.side, run, seed); });
    rotated += turns.size();
  }

  static int64_t features(Value value) { return cast<RankedTensorType>(value.getType()).getShape().back(); }
};

} // namespace
