//===- FactorProducts.cpp - products of factors as numbers for each row -----------------------------------------===//

#include "FactorProducts.h"

using namespace mlir;
using namespace quantc;

/// `number` makes the lanes of one factor of its value.
template <typename Number>
FailureOr<Value> FactorProducts::product(ArrayRef<Factor> factors, Filter chosen, Number number) {
  Value product;
  for (const Factor &factor : factors) {
    if (!chosen(factor))
      continue;
    FailureOr<LaneValue> value = evaluator.evaluate(*factor.expr);
    if (failed(value))
      return failure();
    const Value lanes = number(factor, *value);
    product = product ? b.mul(product, lanes) : lanes;
  }
  return product;
}

FailureOr<Value> FactorProducts::integers(ArrayRef<Factor> factors, Filter chosen) {
  FailureOr<Value> found = product(factors, chosen, [&](const Factor &factor, const LaneValue &value) -> Value {
    if (!value.isFloat)
      return evaluator.asIntegers(value);
    return arith::FPToSIOp::create(b, b.i32s, evaluator.timesPowerOfTwo(value, factor.exponent));
  });
  return succeeded(found) && !*found ? b.splat(b.i32s, 1) : found;
}

FailureOr<Value> FactorProducts::floats(ArrayRef<Factor> factors, Filter chosen) {
  FailureOr<Value> found = product(factors, chosen, [&](const Factor &factor, const LaneValue &value) {
    return evaluator.timesPowerOfTwo(value, factor.exponent);
  });
  return succeeded(found) && !*found ? b.splat(1.0f) : found;
}
