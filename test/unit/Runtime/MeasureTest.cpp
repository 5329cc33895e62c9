#include "quantc/Runtime/Measure.h"
#include <gtest/gtest.h>

using namespace quantc;

// Bounds that hold on any machine: these are measurements.
TEST(Measure, ReadBandwidthIsPlausible) {
  const auto pool = *ThreadPool::create(2);
  const auto bandwidth = readBandwidth(*pool, 1 << 20, 0.01);
  ASSERT_TRUE(bandwidth) << bandwidth.error().message;
  EXPECT_GT(*bandwidth, 1e7);
  EXPECT_LT(*bandwidth, 1e14);
}

TEST(Measure, ArithmeticPeakIsPlausible) {
  const auto pool = *ThreadPool::create(1);
  const double peak = arithmeticPeak(*pool, 0.01);
  EXPECT_GT(peak, 1e8);
  EXPECT_LT(peak, 1e13);
}

TEST(Measure, RefusesSizesThatMeanNothing) {
  const auto pool = *ThreadPool::create(1);
  EXPECT_EQ(readBandwidth(*pool, 1000).error().message, "cannot measure reads of 1000 bytes; give at least 131072");
  EXPECT_FALSE(readBandwidth(*pool, SIZE_MAX));
}
