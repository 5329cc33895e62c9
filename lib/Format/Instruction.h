//===- Instruction.h - what programs are made of ----------------------------------------------------------------===//
#pragma once

#include "quantc/Format/Arithmetic.h"
#include "quantc/Format/Decode.h"

namespace quantc {
struct Program::Instruction {
  enum Code {
    Constant, // integer or number
    PlaceInBlock,
    Row,
    Column,
    LoadField, // at the lane's cell, plus the register `a`
    LoadTable, // at the register `a`
    ToFloat,
    Operation, // op on a, b, both of the operands' type; comparisons give integers
    FloatOperation,
    Select, // a ? b : c
    Abs,
    Min,
    Max,
    BitsF32,
    BitsF16,
    RoundF16,
    RoundBF16,
    Parity,
    CeilDiv
  } code = Constant;
  bool isFloat = false; ///< the result
  static constexpr unsigned none = ~0u;
  unsigned a = none, b = none, c = none;
  Operator op{};
  int64_t integer = 0;
  float number = 0;
  const Field *field = nullptr;
  const Table *table = nullptr;
  unsigned out = none;

  /// What makes two instructions give the same result.
  auto key() const {
    return std::tuple(code, isFloat, a, b, c, op, integer, std::bit_cast<uint32_t>(number), field, table);
  }
};
} // namespace quantc
