//===- RotationTest.cpp - randomized Hadamard rotations ---------------------------------------------------------===//

#include "quantc/Methods/Rotation.h"
#include <bit>
#include <cmath>
#include <gtest/gtest.h>
#include <random>

using namespace quantc;

/// -1 or 1 for each feature, by splitmix64 (Vigna).
static std::vector<int> signsOf(int64_t features, uint64_t seed) {
  std::vector<int> signs;
  for (uint64_t i = 0; i < uint64_t(features); i++) {
    uint64_t z = seed + 0x9e3779b97f4a7c15 * (i / 64 + 1);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    signs.push_back((z ^ (z >> 31)) >> (i % 64) & 1 ? -1 : 1);
  }
  return signs;
}

/// R, written down from its definition: entry (i, j) is what feature i adds to feature j.
static std::vector<double> matrix(int64_t features, uint64_t seed) {
  const int64_t power = int64_t(1) << std::countr_zero(uint64_t(features)), odd = features / power;
  const std::vector<int> signs = signsOf(features, seed);
  std::vector<double> r;
  for (int64_t i = 0; i < features; i++)
    for (int64_t j = 0; j < features; j++) {
      const bool minus = std::popcount(uint64_t(i % power) & uint64_t(j % power)) % 2;
      const double reflection = odd == 1 ? 1 : (i / power == j / power) - 2.0 / double(odd);
      r.push_back(signs[i] * reflection * (minus ? -1 : 1) / std::sqrt(double(power)));
    }
  return r;
}

/// The first numbers of splitmix64 from 1234567, as published with it.
TEST(Rotation, SignsAreThoseOfSplitmix64) {
  const uint64_t published[] = {6457827717110365317u, 3203168211198807973u};
  std::vector<double> x(128 * 128);
  for (int64_t i = 0; i < 128; i++)
    x[i * 129] = 1;
  Rotation(128, 1234567).apply(x.data(), 128);
  // Feature i alone gives its sign to feature 0.
  for (int64_t i = 0; i < 128; i++)
    EXPECT_EQ(x[i] < 0, published[i / 64] >> (i % 64) & 1) << i;
}

TEST(Rotation, IsTheMatrixThatItIsSaidToBe) {
  for (const int64_t features : {1, 2, 3, 8, 12, 64, 96, 7 * 32}) {
    const Rotation rotation(features, 5);
    EXPECT_EQ(rotation.size(), features);
    // Column i holds the i-th unit vector, which becomes row i of R.
    std::vector<double> x(features * features);
    for (int64_t i = 0; i < features; i++)
      x[i * (features + 1)] = 1;
    rotation.apply(x.data(), features);
    const std::vector<double> expected = matrix(features, 5);
    for (int64_t i = 0; i < features; i++)
      for (int64_t j = 0; j < features; j++)
        ASSERT_NEAR(x[j * features + i], expected[i * features + j], 1e-14) << features << " " << i << " " << j;
  }
}

TEST(Rotation, KeepsProducts) {
  std::mt19937 random(3);
  std::normal_distribution<double> normal;
  for (const int64_t features : {16, 20, 36, 256, 1536}) {
    std::vector<double> a(features), b(features);
    for (int64_t i = 0; i < features; i++)
      a[i] = normal(random), b[i] = normal(random);
    double before = 0, after = 0;
    for (int64_t i = 0; i < features; i++)
      before += a[i] * b[i];
    const Rotation rotation(features, 11);
    rotation.apply(a.data(), 1);
    rotation.apply(b.data(), 1);
    for (int64_t i = 0; i < features; i++)
      after += a[i] * b[i];
    EXPECT_NEAR(before, after, 1e-11) << features;
  }
}

TEST(Rotation, SpreadsWhatIsLarge) {
  std::vector<double> x(2048);
  x[17] = 100;
  Rotation(2048, 0).apply(x.data(), 1);
  for (const double v : x)
    EXPECT_NEAR(std::fabs(v), 100 / std::sqrt(2048.0), 1e-12);
}
