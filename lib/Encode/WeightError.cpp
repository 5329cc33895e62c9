//===- WeightError.cpp - how far an approximation is from a weight ----------------------------------------------===//

#include "quantc/Encode/WeightError.h"
#include <algorithm>
#include <cmath>

using namespace quantc;

WeightError WeightError::of(std::span<const float> x, std::span<const float> y) {
  WeightError sums;
  for (size_t i = 0; i < x.size(); ++i) {
    const double difference = double(x[i]) - double(y[i]);
    sums.error += difference * difference;
    sums.size += double(x[i]) * double(x[i]);
    sums.largest = std::isnan(difference) ? INFINITY : std::max(sums.largest, std::fabs(difference));
  }
  return sums;
}

WeightError &WeightError::operator+=(const WeightError &part) {
  error += part.error;
  size += part.size;
  largest = std::max(largest, part.largest);
  return *this;
}

double WeightError::nmse() const {
  return error == 0 ? 0 : size > 0 ? error / size : INFINITY;
}
