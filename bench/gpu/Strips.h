//===- Strips.h - large random weights, made quickly --------------------------------------------------------------===//
#pragma once

#include "quantc/Format/FragmentStorage.h"
#include <functional>
#include <vector>

namespace quantc::gpu {

/// A weight N x K of random numbers in a format, as GPUs read it. Its strips of 16 rows are copies of a few, in an
/// order without a period, so that a strip read in the place of another is noticed.
class StripWeight {
public:
  static Result<StripWeight> create(std::shared_ptr<const Format> format, int64_t N, int64_t K);

  const FragmentStorage &storage() const { return layout; }
  uint64_t bytes() const { return static_cast<uint64_t>(layout.bytes(N, K)); }
  /// Everything in order, a part at a time.
  Status write(const std::function<Status(std::span<const std::byte>)> &append) const;
  /// The values of a row, by the reference decode.
  std::span<const float> row(int64_t n) const;

private:
  explicit StripWeight(FragmentStorage layout) : layout(std::move(layout)) {}
  size_t stripOf(int64_t tile) const;
  FragmentStorage layout;
  int64_t N = 0, K = 0;
  std::vector<std::vector<std::byte>> strips; ///< packed
  std::vector<std::vector<float>> values;     ///< of each: 16 x K
};

/// Normally distributed, the same for the same seed.
std::vector<float> randomNumbers(size_t count, unsigned seed, float deviation);

} // namespace quantc::gpu
