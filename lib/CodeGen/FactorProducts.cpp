//===- FactorProducts.cpp - products of factors as numbers for each row -----------------------------------------===//

#include "FactorProducts.h"

using namespace mlir;
using namespace quantc;

FailureOr<Value> FactorProducts::integers(ArrayRef<Factor> factors, Filter chosen) {
  Value product;
  for (const Factor &factor : factors) {
    if (!chosen(factor))
      continue;
    FailureOr<LaneValue> value = evaluator.evaluate(*factor.expr);
    if (failed(value))
      return failure();
    Value number =
        value->isFloat
            ? arith::FPToSIOp::create(b, b.i32s, evaluator.timesPowerOfTwo(*value, factor.exponent)).getResult()
            : evaluator.asIntegers(*value);
    product = product ? b.mul(product, number) : number;
  }
  return product ? product : b.splat(b.i32s, 1);
}

FailureOr<Value> FactorProducts::floats(ArrayRef<Factor> factors, Filter chosen) {
  Value product;
  for (const Factor &factor : factors) {
    if (!chosen(factor))
      continue;
    FailureOr<LaneValue> value = evaluator.evaluate(*factor.expr);
    if (failed(value))
      return failure();
    Value number = evaluator.timesPowerOfTwo(*value, factor.exponent);
    product = product ? b.mul(product, number) : number;
  }
  return product ? product : b.splat(1.0f);
}
