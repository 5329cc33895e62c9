//===- ByteDot.cpp - the byte dot product of a target -----------------------------------------------------------===//

#include "ByteDot.h"
#include "Units.h"

using namespace mlir;
using namespace quantc;

Value ByteDot::call(LaneBuilder &b, unsigned intrinsic, VectorType result, ValueRange operands) const {
  return LLVM::CallIntrinsicOp::create(b, result, cast<StringAttr>(target.getDot()[intrinsic]), operands).getResult(0);
}

/// Products of two neighbours are summed in 16 bits. Where that could saturate, even and odd bytes are widened instead.
Value ByteDot::pairs(LaneBuilder &b, Value codes, unsigned largest, Value x) const {
  const int64_t dwords = target.getLanes();
  auto of = [&](Type element, int64_t count) { return VectorType::get({count}, element); };
  VectorType i32s = of(b.getI32Type(), dwords), words = of(b.getI16Type(), 2 * dwords);
  if (2 * largest * 127 <= 32767)
    return call(b, 1, i32s, {call(b, 0, words, {codes, x}), b.splat(words, 1)});
  Value u = b.bitcast(words, codes), s = b.bitcast(words, x);
  Value even = call(b, 1, i32s, {b.bitAnd(u, b.splat(words, 255)), b.sar(b.shl(s, 8), 8)});
  Value odd = call(b, 1, i32s, {b.shr(u, 8), b.sar(s, 8)});
  return b.add(even, odd);
}

/// Codes that are no signed bytes lose 128, which the sum of x, 128 times, makes good.
Value ByteDot::signedDot(LaneBuilder &b, Value acc, Value codes, unsigned largest, Value x) const {
  auto i32s = cast<VectorType>(acc.getType()), bytes = cast<VectorType>(codes.getType());
  if (largest <= 127)
    return call(b, 0, i32s, {acc, codes, x});
  Value sums = call(b, 0, i32s, {b.splat(i32s, 0), b.splat(bytes, 64), x});
  acc = b.add(acc, b.shl(sums, 1));
  return call(b, 0, i32s, {acc, b.bitXor(codes, b.splat(bytes, -128)), x});
}

Value ByteDot::widened(LaneBuilder &b, Value acc, Value codes, Value x) const {
  for (unsigned j = 0; j < 4; j++)
    acc = b.add(acc, b.mul(b.byteOfLane(codes, j), b.sar(b.shl(x, 24 - 8 * j), 24)));
  return acc;
}

/// body(first lane, count, sum) for each register of the target in `acc`.
template <typename Body> Value ByteDot::inRegisters(LaneBuilder &b, Value acc, Body body) const {
  const int64_t lanes = target.getLanes();
  Value result = acc;
  for (int64_t first = 0; first < b.lanes; first += lanes) {
    Value sum = body(first, lanes, b.part(acc, first, lanes));
    result = b.insert(sum, result, first);
  }
  return result;
}

bool ByteDot::takesAnyByte(LaneBuilder &b) const {
  return target.getDot().size() == 1 && !TargetUnits(b.getInsertionBlock()->getParentOp()).dotIsSigned();
}

Value ByteDot::operator()(LaneBuilder &b, Value acc, Value codes, unsigned largest, Value x) const {
  if (target.getDot().empty())
    return widened(b, acc, codes, x);
  const bool isSigned = TargetUnits(b.getInsertionBlock()->getParentOp()).dotIsSigned();
  return inRegisters(b, acc, [&](int64_t first, int64_t lanes, Value sum) {
    VectorType i32s = VectorType::get({lanes}, b.getI32Type()), bytes = VectorType::get({4 * lanes}, b.getI8Type());
    Value u = b.part(codes, 4 * first, 4 * lanes), s = b.bitcast(bytes, b.part(x, first, lanes));
    if (isSigned)
      return signedDot(b, sum, u, largest, s);
    return target.getDot().size() == 1 ? call(b, 0, i32s, {sum, u, s}) : b.add(sum, pairs(b, u, largest, s));
  });
}

Value ByteDot::words(LaneBuilder &b, Value acc, Value weights, Value x) const {
  if (!target.getWords()) {
    Value low = b.mul(b.sar(b.shl(weights, 16), 16), b.sar(b.shl(x, 16), 16));
    return b.add(acc, b.add(low, b.mul(b.sar(weights, 16), b.sar(x, 16))));
  }
  return inRegisters(b, acc, [&](int64_t first, int64_t lanes, Value sum) -> Value {
    VectorType i32s = VectorType::get({lanes}, b.getI32Type()), words = VectorType::get({2 * lanes}, b.getI16Type());
    Value w = b.bitcast(words, b.part(weights, first, lanes)), s = b.bitcast(words, b.part(x, first, lanes));
    const bool accumulates = target.getDot().size() == 1;
    SmallVector<Value> operands = accumulates ? SmallVector<Value>{sum, w, s} : SmallVector<Value>{w, s};
    Value products = LLVM::CallIntrinsicOp::create(b, i32s, target.getWords(), operands).getResult(0);
    return accumulates ? products : b.add(sum, products);
  });
}
