//===- WeightErrorTest.cpp --------------------------------------------------------------------------------------===//

#include "quantc/Encode/WeightError.h"
#include <cmath>
#include <gtest/gtest.h>
#include <vector>

using namespace quantc;

TEST(WeightError, SumsOverNumbers) {
  const std::vector<float> x = {1, -2, 0, 4}, y = {1.5f, -2, 0.25f, 3};
  const WeightError all = WeightError::of(x, y);
  EXPECT_EQ(all.error, 0.25 + 0 + 0.0625 + 1);
  EXPECT_EQ(all.size, 21);
  EXPECT_EQ(all.largest, 1);
  EXPECT_EQ(all.nmse(), 1.3125 / 21);
}

TEST(WeightError, PartsAddUp) {
  const std::vector<float> x = {3, 1, 2, 8}, y = {2, 1, 4, 8.5f};
  WeightError parts;
  for (size_t i = 0; i < x.size(); ++i)
    parts += WeightError::of({&x[i], 1}, {&y[i], 1});
  const WeightError all = WeightError::of(x, y);
  EXPECT_EQ(parts.error, all.error);
  EXPECT_EQ(parts.size, all.size);
  EXPECT_EQ(parts.largest, all.largest);
}

TEST(WeightError, NoNumbersAndNoSize) {
  EXPECT_EQ(WeightError().nmse(), 0);
  const std::vector<float> zero = {0, 0}, other = {0, 1}, none = {0, NAN};
  EXPECT_EQ(WeightError::of(zero, zero).nmse(), 0);
  EXPECT_EQ(WeightError::of(zero, other).nmse(), INFINITY);
  EXPECT_EQ(WeightError::of(none, other).largest, INFINITY);
}
