//===- Arithmetic.h - the operations of the language on integers and numbers ------------------------------------===//
//
// Integers have 64 bits and wrap; division floors, and by zero gives 0 (the verifier refuses divisors that can be
// zero). Shifts by less than 0 or more than 63 give 0. Floats are f32, one rounding an operation.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Format/Format.h"
#include <bit>
#include <cmath>

namespace quantc {

inline int64_t applyInteger(Operator op, int64_t a, int64_t b) {
  const auto ua = static_cast<uint64_t>(a), ub = static_cast<uint64_t>(b);
  switch (op) {
  case Operator::Add:
    return static_cast<int64_t>(ua + ub);
  case Operator::Sub:
    return static_cast<int64_t>(ua - ub);
  case Operator::Mul:
    return static_cast<int64_t>(ua * ub);
  case Operator::Div:
    return b == 0 ? 0 : b == -1 ? static_cast<int64_t>(0 - ua) : a / b - (a % b != 0 && (a < 0) != (b < 0));
  case Operator::Rem:
    return b == 0 || b == -1 ? 0 : a % b + (a % b != 0 && (a < 0) != (b < 0) ? b : 0);
  case Operator::And:
    return a & b;
  case Operator::Or:
    return a | b;
  case Operator::Xor:
    return a ^ b;
  case Operator::Shl:
    return ub > 63 ? 0 : static_cast<int64_t>(ua << ub);
  case Operator::Shr:
    return ub > 63 ? (a < 0 ? -1 : 0) : a >> ub;
  case Operator::Eq:
    return a == b;
  case Operator::Ne:
    return a != b;
  case Operator::Lt:
    return a < b;
  case Operator::Le:
    return a <= b;
  case Operator::Gt:
    return a > b;
  case Operator::Ge:
    return a >= b;
  case Operator::Neg:
    return static_cast<int64_t>(0 - ua);
  case Operator::Complement:
    return ~a;
  case Operator::Not:
    return a == 0;
  }
  return 0;
}

/// f16 bits to f32, exactly.
inline float fromF16(uint16_t bits) {
  const uint32_t sign = uint32_t(bits & 0x8000) << 16, exponent = bits >> 10 & 31, mantissa = bits & 0x3ff;
  if (exponent == 31)
    return std::bit_cast<float>(sign | 0x7f800000 | mantissa << 13);
  if (exponent == 0)
    return std::copysign(static_cast<float>(mantissa) * 0x1p-24f, std::bit_cast<float>(sign | 0x3f800000));
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
}

/// f32 to f16 bits, to nearest even; beyond the range infinity.
inline uint16_t toF16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000)
    return static_cast<uint16_t>(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
  if (magnitude >= 0x477ff000) // rounds to 65536 or more
    return static_cast<uint16_t>(sign | 0x7c00);
  if (magnitude < 0x38800000) { // subnormal: adding 0.5 leaves the rounded mantissa in the low bits
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000));
  }
  const uint32_t odd = magnitude >> 13 & 1;
  return static_cast<uint16_t>(sign | (magnitude - 0x38000000 + 0xfff + odd) >> 13);
}

inline float fromBF16(uint16_t bits) {
  return std::bit_cast<float>(uint32_t(bits) << 16);
}

/// f32 to bf16 bits, to nearest even; a NaN stays one.
inline uint16_t toBF16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000)
    return static_cast<uint16_t>(bits >> 16 | 64);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/// The f32 that the raw bits of a float field stand for.
float fromBits(FieldKind kind, uint64_t raw);

/// The integer that the raw bits of an integer field stand for.
inline int64_t integerFromBits(FieldKind kind, unsigned width, uint64_t raw) {
  if (kind == FieldKind::Unsigned)
    return static_cast<int64_t>(raw);
  return static_cast<int64_t>(raw << (64 - width)) >> (64 - width);
}

} // namespace quantc
