//===- FloatActivations.cpp - activations in a format of floats are tensors of floats -----------------------------===//

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "quantc/CodeGen/NVPTX/Passes.h"
#include "quantc/Format/Decode.h"

namespace quantc {
#define GEN_PASS_DEF_QFFLOATACTIVATIONS
#include "quantc/CodeGen/NVPTX/Passes.h.inc"
} // namespace quantc

using namespace mlir;
using namespace quantc;

/// The float type that numbers of a format are, or null.
static Type floatOf(MLIRContext *context, const Format &format) {
  if (!isPlainFloat(format))
    return {};
  switch (format.fields().front().kind) {
  case FieldKind::F32:
    return Float32Type::get(context);
  case FieldKind::F16:
    return Float16Type::get(context);
  case FieldKind::BF16:
    return BFloat16Type::get(context);
  default:
    return {};
  }
}

namespace {

struct FloatActivationsPass : quantc::impl::QFFloatActivationsBase<FloatActivationsPass> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (function.isDeclaration())
      return;
    for (BlockArgument argument : function.getArguments())
      if (RankedTensorType type = isActivations(argument) ? floats(argument.getType()) : RankedTensorType())
        argument.setType(type);
    SmallVector<qf::EncodeOp> encodings;
    function.walk([&](qf::EncodeOp encode) { encodings.push_back(encode); });
    for (qf::EncodeOp encode : encodings)
      if (isa<FloatType>(getElementTypeOrSelf(encode.getOut())))
        round(encode);
    SmallVector<Type> results(function.front().getTerminator()->getOperandTypes());
    function.setFunctionType(FunctionType::get(&getContext(), function.front().getArgumentTypes(), results));
  }

private:
  /// What is multiplied with a weight, or where activations are encoded to.
  static bool isActivations(BlockArgument argument) {
    return llvm::any_of(argument.getUsers(), [&](Operation *user) {
      auto contract = dyn_cast<qf::ContractOp>(user);
      auto encode = dyn_cast<qf::EncodeOp>(user);
      return (contract && contract.getX() == argument) || (encode && encode.getOut() == argument);
    });
  }

  RankedTensorType floats(Type type) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    auto elem = tensor ? dyn_cast<qf::ElemType>(tensor.getElementType()) : qf::ElemType();
    Type number = elem ? floatOf(&getContext(), *elem.getFormat()) : Type();
    return number ? tensor.clone(number) : RankedTensorType();
  }

  void round(qf::EncodeOp encode) {
    OpBuilder b(encode);
    SmallVector<AffineMap> maps(2, b.getMultiDimIdentityMap(2));
    SmallVector<utils::IteratorType> parallel(2, utils::IteratorType::parallel);
    Value out = encode.getOut();
    auto rounding = linalg::GenericOp::create(b, encode.getLoc(), out.getType(), encode.getX(), out, maps, parallel,
                                              [&](OpBuilder &inner, Location loc, ValueRange in) {
                                                Value number = in[0];
                                                if (in[1].getType() != number.getType())
                                                  number = arith::TruncFOp::create(inner, loc, in[1].getType(), number);
                                                linalg::YieldOp::create(inner, loc, number);
                                              });
    encode->replaceAllUsesWith(rounding);
    encode.erase();
  }
};

} // namespace
