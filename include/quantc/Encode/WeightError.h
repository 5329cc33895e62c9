//===- WeightError.h - how far an approximation is from a weight ------------------------------------------------===//
#pragma once

#include <span>

namespace quantc {

/// Sums in f64 over the numbers x of a weight and y of what stands for it, in the order in which they are given: parts
/// that are added in the order of their rows give the same bits whatever computed them.
struct WeightError {
  double error = 0;   ///< of (x - y)²
  double size = 0;    ///< of x²
  double largest = 0; ///< |x - y|; infinite where one is NaN

  static WeightError of(std::span<const float> x, std::span<const float> y);
  WeightError &operator+=(const WeightError &part);
  /// Squared error over squared size: the NMSE that every command means.
  double nmse() const;
};

} // namespace quantc
