//===- PointFunctions.h - roundings of one number, as loops over arrays can be vectorized -----------------------===//
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace quantc {

/// To the nearest integer, halves to even: numbers below 2^23 lose their fraction when 2^23 is added.
inline float roundEven(float v) {
  const float magnitude = std::fabs(v);
  return magnitude < 0x1p23f ? std::copysign((magnitude + 0x1p23f) - 0x1p23f, v) : v;
}

/// The same; |v| below 2^51.
inline double roundEven(double v) {
  return (v + 0x1.8p52) - 0x1.8p52;
}

inline float floorOf(float v) {
  const float r = roundEven(v);
  return r > v ? r - 1.0f : r;
}

/// Halves away from zero.
inline float roundAway(float v) {
  const float magnitude = std::fabs(v), whole = floorOf(magnitude);
  return std::copysign(whole + (magnitude - whole >= 0.5f ? 1.0f : 0.0f), v);
}

inline float truncate(float v) {
  return std::copysign(floorOf(std::fabs(v)), v);
}

/// a / b, 0 where b is 0.
inline float divideOrZero(float a, float b) {
  return b != 0 ? a / b : 0.0f;
}

/// NaN stays NaN.
template <typename Real> Real clampTo(Real v, Real low, Real high) {
  return v < low ? low : v > high ? high : v;
}

} // namespace quantc
