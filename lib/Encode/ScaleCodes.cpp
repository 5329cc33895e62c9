//===- ScaleCodes.cpp - power-of-two and E4M3 scales, the dynamic map -------------------------------------------===//

#include "quantc/Encode/Searches.h"
#include <algorithm>
#include <bit>
#include <cmath>

using namespace quantc;

void search::pow2Scale(const Cells &in, int emax, bool even, float *exponent) {
  for (size_t c = 0; c < in.cells; c++) {
    float largest = 0;
    for (size_t i = 0; i < in.n; i++)
      largest = std::max(largest, std::fabs(in.x[c * in.n + i]));
    if (largest == 0) {
      exponent[c] = 0;
      continue;
    }
    if (even) // a quarter of the mantissa added: carries into the exponent from 1.75 on
      largest = std::bit_cast<float>((std::bit_cast<uint32_t>(largest) + (1u << 21)) & 0xff800000u);
    // ggml's logarithm is an f32: it reaches the next integer just below a power of two.
    const float logarithm = static_cast<float>(std::log2(static_cast<double>(largest)));
    exponent[c] = std::clamp(std::floor(logarithm) - static_cast<float>(emax) + 127.0f, 0.0f, 254.0f);
  }
}

float search::e4m3Up(float v) {
  if (!(v > 0))
    return 0;
  const float x = std::min(v, 448.0f);
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  int exponent = static_cast<int>(bits >> 23) - 120, mantissa = static_cast<int>((bits >> 20 & 7) + (bits >> 19 & 1));
  if (exponent <= 0)
    return std::min(std::floor(x * 512.0f + 0.5f), 7.0f);
  if (mantissa > 7) {
    mantissa = 0;
    exponent++;
  }
  return exponent >= 15 ? 0x7e : static_cast<float>(exponent << 3 | mantissa);
}

std::array<float, 256> search::dynamicMap() {
  std::array<float, 256> map{};
  size_t count = 0;
  map[count++] = 0;
  map[count++] = 1;
  for (int i = 0; i < 7; i++) {
    const int steps = 1 << i;
    // torch.linspace: from both ends towards the middle, in f32.
    const float step = (1.0f - 0.1f) / static_cast<float>(steps);
    auto boundary = [&](int j) {
      return j < (steps + 1) / 2 ? 0.1f + step * static_cast<float>(j) : 1.0f - step * static_cast<float>(steps - j);
    };
    const float power = static_cast<float>(std::pow(10.0, i - 6));
    for (int j = 0; j < steps; j++) {
      const float middle = power * ((boundary(j) + boundary(j + 1)) / 2.0f);
      map[count++] = middle;
      map[count++] = -middle;
    }
  }
  std::ranges::sort(map);
  return map;
}
