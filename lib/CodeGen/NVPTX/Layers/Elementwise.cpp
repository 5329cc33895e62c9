//===- Elementwise.cpp - functions of the numbers at one place ----------------------------------------------------===//

#include "../DeviceMath.h"
#include "../Fragments.h"
#include "HeadRow.h"
#include "Layers.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace quantc;

/// How the weight lies that a function has a parameter for, though its kernel does not read it.
static FailureOr<std::optional<FragmentStorage>> storageOf(func::FuncOp function) {
  for (Type type : function.getArgumentTypes())
    if (auto format = dyn_cast<qf::ElemType>(getElementTypeOrSelf(type))) {
      FailureOr<FragmentStorage> storage = fragmentsOf(function, format);
      if (failed(storage))
        return failure();
      return std::optional(std::move(*storage));
    }
  return std::optional<FragmentStorage>();
}

LogicalResult quantc::emitElementwise(linalg::GenericOp op, gpu::GPUModuleOp module) {
  auto function = op->getParentOfType<func::FuncOp>();
  Value out = op.getOutputs().front();
  auto type = cast<RankedTensorType>(out.getType());
  if (op.getNumLoops() != 2 || op.getNumParallelLoops() != 2 || type.isDynamicDim(1))
    return op.emitOpError("is no function of tokens × features");
  const int64_t count = type.getDimSize(1);
  FailureOr<std::optional<FragmentStorage>> storage = storageOf(function);
  if (failed(storage))
    return failure();
  LayerBuilder b(function, module, threadsFor(count, 256), *storage ? &**storage : nullptr);
  Value token = b.block(gpu::Dimension::y);
  Value feature = b.add(b.mul(b.block(gpu::Dimension::x), b.threads), b.thread());
  auto placeOf = [&](Value value, Value t, Value f) {
    return b.add(b.mul(t, cast<RankedTensorType>(value.getType()).getShape().back()), f);
  };
  b.when(b.less(feature, b.i64(count)), [&] {
    IRMapping map;
    for (OpOperand *input : op.getDpsInputOperands()) {
      const bool perFeature = op.getMatchingIndexingMap(input).getNumResults() == 1;
      Value at = perFeature ? feature : placeOf(input->get(), token, feature);
      Value number = b.load(input->get(), at);
      BlockArgument argument = op.getMatchingBlockArgument(input);
      if (argument.getType().isInteger(32))
        number = arith::TruncIOp::create(b, b.getI32Type(), number);
      map.map(argument, number);
    }
    auto bring = [&](Operation &user) { // constants stand outside of the loop
      for (Value operand : user.getOperands())
        if (auto constant = operand.getDefiningOp<arith::ConstantOp>(); constant && !map.contains(operand))
          map.map(operand, b.clone(*constant.getOperation())->getResult(0));
    };
    for (Operation &inner : op.getBody()->without_terminator()) {
      bring(inner);
      if (auto extract = dyn_cast<tensor::ExtractOp>(inner)) { // a gather: of the same token, another feature
        Value column = arith::IndexCastOp::create(b, b.getI64Type(), map.lookup(extract.getIndices()[1]));
        map.map(extract.getResult(), b.load(extract.getTensor(), placeOf(extract.getTensor(), token, column)));
      } else if (auto index = dyn_cast<linalg::IndexOp>(inner)) {
        map.map(index.getResult(),
                arith::IndexCastOp::create(b, b.getIndexType(), index.getDim() ? feature : token).getResult());
      } else {
        SmallVector<Value> operands;
        for (Value operand : inner.getOperands())
          operands.push_back(map.lookupOrDefault(operand));
        if (Value result = emitMath(b, &inner, operands))
          map.map(inner.getResult(0), result);
        else
          b.clone(inner, map);
      }
    }
    bring(*op.getBody()->getTerminator());
    Value number = map.lookupOrDefault(op.getBody()->getTerminator()->getOperand(0));
    if (!number.getType().isF32())
      number = arith::ExtFOp::create(b, b.getF32Type(), number);
    b.store(number, out, placeOf(out, token, feature));
  });
  b.finish({{-1, static_cast<int64_t>(llvm::divideCeil(count, b.threads))}, b.perToken()});
  return success();
}
