//===- ByteDot.h - the byte dot product of a target -------------------------------------------------------------===//
#pragma once

#include "LaneBuilder.h"
#include "quantc/Dialect/QF/QF.h"

namespace quantc {

/// acc[lane] += sum of four products of unsigned bytes with signed bytes, exact on every target: levels of one family
/// get the same integers.
class ByteDot {
public:
  explicit ByteDot(qf::TargetAttr target) : target(target) {}

  /// `codes`: bytes, unsigned, each at most `largest`. `x`: four signed bytes in [-127, 127], the same for all lanes,
  /// as `i32s`.
  mlir::Value operator()(LaneBuilder &b, mlir::Value acc, mlir::Value codes, unsigned largest, mlir::Value x) const;

  /// acc[lane] += sum of two products of i16. `weights`: a pair in each lane, `x`: the same pair in all lanes, both as
  /// `i32s`.
  mlir::Value words(LaneBuilder &b, mlir::Value acc, mlir::Value weights, mlir::Value x) const;

  /// Whether one instruction does it, whatever the bytes: `largest` decides nothing.
  bool takesAnyByte(LaneBuilder &b) const;

private:
  template <typename Body> mlir::Value inRegisters(LaneBuilder &b, mlir::Value acc, Body body) const;
  mlir::Value call(LaneBuilder &b, unsigned intrinsic, mlir::VectorType result, mlir::ValueRange operands) const;
  mlir::Value pairs(LaneBuilder &b, mlir::Value codes, unsigned largest, mlir::Value x) const;
  mlir::Value signedDot(LaneBuilder &b, mlir::Value acc, mlir::Value codes, unsigned largest, mlir::Value x) const;
  mlir::Value widened(LaneBuilder &b, mlir::Value acc, mlir::Value codes, mlir::Value x) const;

  qf::TargetAttr target;
};

} // namespace quantc
