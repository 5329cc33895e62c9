//===- Rotation.cpp - randomized Hadamard rotations of features -------------------------------------------------===//

#include "quantc/Methods/Rotation.h"
#include <cmath>
#include <tuple>

using namespace quantc;

/// Vigna's splitmix64: the next number, and the state behind it.
static uint64_t next(uint64_t &state) {
  uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

Rotation::Rotation(int64_t features, uint64_t seed) : power(features & -features) {
  uint64_t bits = 0;
  for (int64_t i = 0; i < features; i++) {
    if (i % 64 == 0)
      bits = next(seed);
    negative.push_back(bits >> (i % 64) & 1);
  }
}

void Rotation::apply(double *x, int64_t width) const {
  const double scale = 1 / std::sqrt(static_cast<double>(power));
  for (int64_t i = 0; i < size(); i++)
    for (int64_t w = 0; w < width; w++)
      x[i * width + w] *= negative[i] ? -scale : scale;
  // Rows whose numbers differ in one bit become their sum and their difference.
  for (int64_t bit = 1; bit < power; bit *= 2)
    for (int64_t i = 0; i < size(); i++)
      if (!(i % power & bit))
        for (int64_t w = 0; w < width; w++) {
          double &a = x[i * width + w], &b = x[(i + bit) * width + w];
          std::tie(a, b) = std::pair(a + b, a - b);
        }
  const int64_t runs = size() / power;
  if (runs == 1)
    return;
  std::vector<double> sums(width);
  for (int64_t a = 0; a < power; a++) {
    sums.assign(width, 0);
    for (int64_t i = a; i < size(); i += power)
      for (int64_t w = 0; w < width; w++)
        sums[w] += x[i * width + w];
    for (int64_t i = a; i < size(); i += power)
      for (int64_t w = 0; w < width; w++)
        x[i * width + w] -= sums[w] * 2 / static_cast<double>(runs);
  }
}
