//===- AttentionCase.h - one call of nn.attention, and its result in f64 ------------------------------------------===//
#pragma once

#include "LayerKernels.h"
#include <fmt/format.h>
#include <functional>

namespace quantc::test {

struct Shape {
  int heads, keyHeads, headDim, valueDim;
  int window = 0;    // 0: none
  float softcap = 0; // 0: none
};

/// A kernel of nn.attention over caches of an element type.
inline std::string kernelText(const Shape &s, const std::string &element = "f16") {
  std::string q = fmt::format("tensor<?x{}xf32>", s.heads * s.headDim),
              y = fmt::format("tensor<?x{}xf32>", s.heads * s.valueDim);
  std::string keys = fmt::format("tensor<{}x?x{}x{}>", s.keyHeads, s.headDim, element);
  std::string values = fmt::format("tensor<{}x?x{}x{}>", s.keyHeads, s.valueDim, element);
  std::string options = s.window ? fmt::format(" window {}", s.window) : "";
  if (s.softcap)
    options += fmt::format(" softcap {:e}", s.softcap);
  return fmt::format(R"(
    func.func @kernel(%q: {0}, %keys: {1}, %values: {2}, %past: index, %out: {3} {{bufferization.writable = true}}) -> {3} {{
      %y = nn.attention %q, %keys, %values at %past scale 0.3{4} : {0}, {1}, {2} -> {3}
      %r = bufferization.materialize_in_destination %y in %out : ({3}, {3}) -> {3}
      return %r : {3}
    }})",
                     q, keys, values, y, options);
}

/// The inputs of one call.
struct Call {
  Call(const Shape &s, int tokens, int past)
      : s(s), tokens(tokens), past(past), capacity((past + tokens + 15) / 16 * 16), q(tokens * s.heads * s.headDim),
        keys(s.keyHeads * capacity * s.headDim), values(s.keyHeads * capacity * s.valueDim) {
    fillRandom(q, 1);
    fillRandom(keys, 2);
    fillRandom(values, 3);
  }
  Buffer<float> makeResult() const { return Buffer<float>(tokens * s.heads * s.valueDim); }
  std::vector<int64_t> args(Buffer<float> &y) {
    return {q.address(), tokens, keys.address(), capacity, values.address(), capacity, past, y.address(), tokens};
  }
  double key(int head, int position, int d) {
    return keys[((head * (capacity / 16) + position / 16) * s.headDim + d) * 16 + position % 16];
  }
  double value(int head, int position, int d) { return values[(head * capacity + position) * s.valueDim + d]; }
  std::vector<double> expected() {
    return attention([this](int h, int p, int d) { return key(h, p, d); },
                     [this](int h, int p, int d) { return value(h, p, d); });
  }
  /// The result in f64 for keys and values by head, position and feature.
  std::vector<double> attention(const std::function<double(int, int, int)> &key,
                                const std::function<double(int, int, int)> &value) {
    std::vector<double> y(tokens * s.heads * s.valueDim);
    for (int t = 0; t < tokens; ++t)
      for (int h = 0; h < s.heads; ++h) {
        const int keyHead = h / (s.heads / s.keyHeads), last = past + t;
        const int first = s.window ? std::max(0, last - s.window + 1) : 0;
        std::vector<double> scores;
        for (int j = first; j <= last; ++j) {
          double dot = 0;
          for (int d = 0; d < s.headDim; ++d)
            dot += double(q[(t * s.heads + h) * s.headDim + d]) * key(keyHead, j, d);
          dot *= double(0.3f);
          scores.push_back(s.softcap ? s.softcap * std::tanh(dot / s.softcap) : dot);
        }
        const double maximum = *std::max_element(scores.begin(), scores.end());
        double sum = 0;
        for (double &score : scores)
          sum += score = std::exp(score - maximum);
        for (int d = 0; d < s.valueDim; ++d)
          for (int j = first; j <= last; ++j)
            y[(t * s.heads + h) * s.valueDim + d] += scores[j - first] / sum * value(keyHead, j, d);
      }
    return y;
  }

  Shape s;
  int tokens, past, capacity;
  Buffer<float> q;
  Buffer<_Float16> keys, values;
};

} // namespace quantc::test
