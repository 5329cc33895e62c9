//===- DeviceMath.cpp - functions as instructions of a GPU --------------------------------------------------------===//

#include "DeviceMath.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace quantc;

/// Calls an intrinsic of f32 for each element.
static Value call(ImplicitLocOpBuilder &b, StringRef intrinsic, Value x) {
  auto one = [&](Value number) -> Value {
    return LLVM::CallIntrinsicOp::create(b, b.getF32Type(), b.getStringAttr(intrinsic), ValueRange(number))
        .getResult(0);
  };
  auto type = dyn_cast<VectorType>(x.getType());
  if (!type)
    return one(x);
  SmallVector<Value> numbers;
  const SmallVector<int64_t> strides = computeSuffixProduct(type.getShape());
  for (int64_t i = 0; i < type.getNumElements(); i++)
    numbers.push_back(one(vector::ExtractOp::create(b, x, delinearize(i, strides))));
  return vector::FromElementsOp::create(b, type, numbers);
}

static Value constant(ImplicitLocOpBuilder &b, Type type, float value) {
  TypedAttr number = b.getF32FloatAttr(value);
  if (auto vector = dyn_cast<VectorType>(type))
    number = DenseElementsAttr::get(vector, value);
  return arith::ConstantOp::create(b, number);
}

Value quantc::emitExp(ImplicitLocOpBuilder &b, Value x) {
  constexpr float log2OfE = 1.44269504F;
  return call(b, "llvm.nvvm.ex2.approx.f32", arith::MulFOp::create(b, x, constant(b, x.getType(), log2OfE)));
}

Value quantc::emitTanh(ImplicitLocOpBuilder &b, Value x) {
  Value one = constant(b, x.getType(), 1), two = constant(b, x.getType(), 2);
  Value power = arith::AddFOp::create(b, emitExp(b, arith::MulFOp::create(b, x, two)), one);
  return arith::SubFOp::create(b, one, arith::DivFOp::create(b, two, power));
}

Value quantc::emitSqrt(ImplicitLocOpBuilder &b, Value x) {
  return call(b, "llvm.nvvm.sqrt.rn.f", x);
}

Value quantc::emitMath(ImplicitLocOpBuilder &b, Operation *op, ValueRange operands) {
  if (isa<math::ExpOp>(op))
    return emitExp(b, operands[0]);
  if (isa<math::TanhOp>(op))
    return emitTanh(b, operands[0]);
  if (isa<math::SqrtOp>(op))
    return emitSqrt(b, operands[0]);
  // Instructions of every GPU. (Upstream would call a library for these operations.)
  StringRef intrinsic = isa<math::AbsFOp>(op)        ? "llvm.fabs"
                        : isa<math::FloorOp>(op)     ? "llvm.floor"
                        : isa<math::RoundEvenOp>(op) ? "llvm.roundeven"
                        : isa<math::CopySignOp>(op)  ? "llvm.copysign"
                                                     : "";
  if (intrinsic.empty())
    return {};
  return LLVM::CallIntrinsicOp::create(b, operands[0].getType(), b.getStringAttr(intrinsic), operands).getResult(0);
}
