//===- CodedCacheCase.h - heads of a KV cache in a format, by the encoder and the reference decode ----------------===//
#pragma once

#include "AttentionCase.h"
#include "quantc/Encode/Encode.h"
#include "quantc/Format/Decode.h"
#include "quantc/Format/KernelStorage.h"
#include <gtest/gtest.h>

namespace quantc::test {

/// One head of a cache: positions × features, those beyond the head zeros.
class Head {
public:
  Head(const KernelStorage &storage, int positions, int features)
      : format(storage.source()), positions(positions), features(features),
        padded(int(storage.columnTiles(features)) * int(storage.columns())), numbers(size_t(positions) * padded) {}

  float &at(int position, int feature) { return numbers[size_t(position) * padded + feature]; }
  FieldValues fields() const { return encode(*format, numbers, positions, padded).value(); }
  /// The numbers as the format holds them.
  std::vector<float> decoded() const {
    std::vector<float> values(numbers.size());
    EXPECT_TRUE(decode(*format, fields(), positions, padded, values.data()));
    return values;
  }

  std::shared_ptr<const Format> format;
  int positions, features, padded;
  std::vector<float> numbers;
};

/// Random heads, whose numbers differ in size from row to row; one is all zeros.
inline std::vector<Head> randomHeads(const KernelStorage &storage, int heads, int positions, int features,
                                     unsigned seed) {
  std::vector<Head> all;
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal;
  for (int h = 0; h < heads; ++h) {
    Head &head = all.emplace_back(storage, positions, features);
    for (int p = 0; p < positions; ++p)
      for (int d = 0; d < features; ++d)
        head.at(p, d) = p == 1 && h == 0 ? 0.0f : normal(generator) * std::ldexp(1.0f, (p * 7 + h) % 5 - 2);
  }
  return all;
}

/// A kernel of nn.kv_append of as many features of keys as of values, into caches of an element type.
inline std::string appendText(int heads, int headDim, const std::string &element) {
  const std::string x = fmt::format("tensor<?x{}xf32>", heads * headDim),
                    cache = fmt::format("tensor<{}x?x{}x{}>", heads, headDim, element);
  return fmt::format("func.func @kernel(%k: {0}, %v: {0}, %past: index, %keys: {1} {{bufferization.writable = true}}, "
                     "%values: {1} {{bufferization.writable = true}}) -> ({1}, {1}) {{\n"
                     "%a, %b = nn.kv_append %k, %v at %past into %keys, %values : {0}, {0} into {1}, {1}\n"
                     "return %a, %b : {1}, {1} }}",
                     x, cache);
}

} // namespace quantc::test
