//===- FieldCodes.cpp - numbers as the bits of fields -----------------------------------------------------------===//

#include "FieldCodes.h"
#include <algorithm>

using namespace quantc;

SmallFloat::SmallFloat(FieldKind kind, unsigned width) {
  for (uint64_t bits = 0; bits < uint64_t(1) << width; bits++) {
    const float value = fromBits(kind, bits);
    if (std::isfinite(value) && !std::signbit(value))
      numbers.push_back({value, bits});
    else if (value < 0 && signBit == 0)
      signBit = uint64_t(1) << (width - 1);
  }
  std::ranges::sort(numbers, {}, &Number::value);
}

uint64_t SmallFloat::bitsFor(float v) const {
  const float magnitude = std::fabs(v);
  const uint64_t sign = std::signbit(v) ? signBit : 0;
  if (sign == 0 && v < 0) // below every number
    return numbers.front().bits;
  const auto above = std::ranges::lower_bound(numbers, magnitude, {}, &Number::value);
  if (above == numbers.begin())
    return above->bits | sign;
  if (above == numbers.end())
    return numbers.back().bits | sign;
  const Number &low = above[-1], &high = *above;
  const double toLow = double(magnitude) - low.value, toHigh = double(high.value) - magnitude;
  const bool takeLow = toLow < toHigh || (toLow == toHigh && low.bits % 2 == 0);
  return (takeLow ? low.bits : high.bits) | sign;
}

FieldRounding::FieldRounding(const Field &field) : kind(field.kind), width(field.width) {
  if (isInteger(kind)) {
    const bool isSigned = kind == FieldKind::Signed;
    least = isSigned ? -std::ldexp(1.0, int(width) - 1) : 0;
    end = std::ldexp(1.0, int(width) - isSigned);
  } else if (width <= 8) {
    small.emplace_back(kind, width);
  }
}

uint64_t FieldRounding::bitsFor(float v) const {
  const uint64_t all = ~uint64_t(0) >> (64 - width);
  switch (kind) {
  case FieldKind::Unsigned:
    return !(v > 0) ? 0 : v >= end ? all : static_cast<uint64_t>(v);
  case FieldKind::Signed:
    if (std::isnan(v))
      return 0;
    return v <= least ? uint64_t(1) << (width - 1)
           : v >= end ? all >> 1
                      : static_cast<uint64_t>(static_cast<int64_t>(v)) & all;
  case FieldKind::F32:
    return std::bit_cast<uint32_t>(v);
  case FieldKind::F16:
    return toF16(v);
  case FieldKind::BF16:
    return toBF16(v);
  default:
    return small.front().bitsFor(v);
  }
}
