//===- Strips.cpp - large random weights, made quickly ------------------------------------------------------------===//

#include "Strips.h"
#include "quantc/Encode/Encode.h"
#include <random>

using namespace quantc;
using namespace quantc::gpu;

static constexpr size_t stripCount = 7;

std::vector<float> gpu::randomNumbers(size_t count, unsigned seed, float deviation) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> numbers(count);
  for (float &number : numbers)
    number = normal(engine);
  return numbers;
}

/// The high bits of a product with the golden ratio: neighbours and powers of two apart differ.
size_t StripWeight::stripOf(int64_t tile) const {
  return (static_cast<uint64_t>(tile) * 0x9e3779b97f4a7c15u >> 32) % strips.size();
}

Result<StripWeight> StripWeight::create(std::shared_ptr<const Format> format, int64_t N, int64_t K) {
  constexpr int64_t rows = FragmentStorage::rows;
  QUANTC_ASSIGN(KernelStorage kernel, KernelStorage::derive(format));
  QUANTC_ASSIGN(FragmentStorage layout,
                FragmentStorage::derive(std::make_shared<const KernelStorage>(std::move(kernel))));
  QUANTC_TRY(layout.checkShape(N, K));
  StripWeight weight(std::move(layout));
  weight.N = N, weight.K = K;
  const std::vector<float> importance(format->encode("") ? 0 : static_cast<size_t>(K), 1);
  for (unsigned strip = 0; strip < stripCount; strip++) {
    const std::vector<float> numbers = randomNumbers(static_cast<size_t>(rows * K), strip + 1, 0.02f);
    QUANTC_ASSIGN(const FieldValues fields, encode(*format, numbers, rows, K, importance));
    QUANTC_TRY(decode(*format, fields, rows, K, weight.values.emplace_back(numbers.size()).data()));
    QUANTC_TRY(weight.layout.fromFields(fields, rows, K,
                                        weight.strips.emplace_back(static_cast<size_t>(weight.layout.bytes(rows, K)))));
  }
  return weight;
}

Status StripWeight::write(const std::function<Status(std::span<const std::byte>)> &append) const {
  constexpr int64_t rows = FragmentStorage::rows;
  const int64_t tiles = (N + rows - 1) / rows;
  for (size_t p = 0; p < layout.planes().size(); p++) {
    const FragmentPlane &plane = layout.planes()[p];
    const auto part = static_cast<size_t>(layout.planeBytes(plane, rows, K));
    for (int64_t tile = 0; tile < tiles; tile++)
      QUANTC_TRY(
          append(std::span(strips[stripOf(tile)]).subspan(static_cast<size_t>(layout.planeOffset(p, rows, K)), part)));
    const int64_t padding =
        layout.planeOffset(p + 1, N, K) - layout.planeOffset(p, N, K) - layout.planeBytes(plane, N, K);
    QUANTC_TRY(append(std::vector<std::byte>(static_cast<size_t>(padding))));
  }
  return {};
}

std::span<const float> StripWeight::row(int64_t n) const {
  constexpr int64_t rows = FragmentStorage::rows;
  return std::span(values[stripOf(n / rows)]).subspan(static_cast<size_t>(n % rows * K), static_cast<size_t>(K));
}
