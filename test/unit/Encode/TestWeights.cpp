//===- TestWeights.cpp - weights that every test of encoding shares ---------------------------------------------===//

#include "TestWeights.h"

namespace quantc::test {

const std::vector<float> &sharedWeights() {
  static const std::vector<float> weights = [] {
    std::vector<float> x(16384);
    uint32_t state = 0x12345678;
    for (float &value : x) {
      int sum = -8190;
      for (int draw = 0; draw < 4; draw++) {
        state = state * 1664525u + 1013904223u;
        sum += static_cast<int>(state >> 20);
      }
      value = static_cast<float>(sum) / 65536;
    }
    return x;
  }();
  return weights;
}

const std::vector<float> &sharedImportance() {
  static const std::vector<float> importance = [] {
    std::vector<float> im(2048);
    uint32_t state = 0x9abcdef0;
    for (float &value : im) {
      state = state * 1664525u + 1013904223u;
      value = static_cast<float>(1 + (state >> 24)) / 64;
    }
    return im;
  }();
  return importance;
}

FieldValues encoded(const Format &format, std::span<const float> x, int64_t N, int64_t K,
                    std::span<const float> importance) {
  auto fields = encode(format, x, N, K, importance);
  if (fields)
    return std::move(*fields);
  ADD_FAILURE() << format.spec() << ": " << fields.error().message;
  return zeroFields(format, N, K);
}

std::string encodedHex(const std::string &spec, std::span<const float> x, int64_t N, int64_t K,
                       std::span<const float> importance) {
  const auto format = formatOf(spec);
  return toHex(storeBlocks(*format, encoded(*format, x, N, K, importance), N, K));
}

} // namespace quantc::test
