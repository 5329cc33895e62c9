//===- HeadCase.h - norms and rotations of heads in f64 -----------------------------------------------------------===//
#pragma once

#include "LayerKernels.h"
#include <fmt/format.h>

namespace quantc::test {

inline std::vector<double> normalize(const std::vector<double> &x, Buffer<float> &weight, double eps) {
  double squares = 0;
  for (double v : x)
    squares += v * v;
  std::vector<double> y;
  for (size_t i = 0; i < x.size(); ++i)
    y.push_back(x[i] / std::sqrt(squares / x.size() + eps) * weight[i]);
  return y;
}

/// Tables of angles as the compiler makes them.
inline Buffer<float> angleTable(int rows, int step, int pairs) {
  Buffer<float> table(rows * 2 * pairs);
  for (int row = 0; row < rows; ++row)
    for (int i = 0; i < pairs; ++i) {
      const double angle = row * step * std::pow(10000.0, -double(i) / pairs);
      table[(row * 2) * pairs + i] = std::cos(angle);
      table[(row * 2 + 1) * pairs + i] = std::sin(angle);
    }
  return table;
}

struct RopeCase {
  int heads, headDim, pairs;
  bool adjacent, norm;
};

inline std::vector<double> rotate(std::vector<double> head, const RopeCase &c, int position) {
  for (int i = 0; i < c.pairs; ++i) {
    const double angle = position * std::pow(10000.0, -double(i) / c.pairs);
    double &a = head[c.adjacent ? 2 * i : i], &b = head[c.adjacent ? 2 * i + 1 : i + c.pairs];
    const double newA = a * std::cos(angle) - b * std::sin(angle);
    b = b * std::cos(angle) + a * std::sin(angle);
    a = newA;
  }
  return head;
}

/// rope(x), or rope(rms_norm(x)), for each head of each token.
inline std::vector<double> rotated(Buffer<float> &x, Buffer<float> &weight, const RopeCase &c, int tokens, int past) {
  std::vector<double> y;
  for (int t = 0; t < tokens; ++t)
    for (int h = 0; h < c.heads; ++h) {
      float *at = x.begin() + (t * c.heads + h) * c.headDim;
      std::vector<double> head(at, at + c.headDim);
      for (double v : rotate(c.norm ? normalize(head, weight, 1e-6) : head, c, past + t))
        y.push_back(v);
    }
  return y;
}

/// The ops that make `%y` of `%x`.
inline std::string ropeText(const RopeCase &c) {
  std::string x = fmt::format("tensor<?x{}xf32>", c.heads * c.headDim);
  std::string text;
  if (c.norm)
    text = fmt::format("%n = nn.rms_norm %x, %w eps 1.0e-6 : {}, tensor<{}xf32>\n", x, c.headDim);
  return text +
         fmt::format("%y = nn.rope {} at %past angles(%low, %high) head_dim {} style {} : {}, tensor<16x2x{}xf32>, "
                     "tensor<20x2x{}xf32>\n",
                     c.norm ? "%n" : "%x", c.headDim, c.adjacent ? "adjacent" : "half", x, c.pairs, c.pairs);
}
inline std::string ropeParameters(const RopeCase &c) {
  return fmt::format(
      "%x: tensor<?x{}xf32>, %w: tensor<{}xf32>, %past: index, %low: tensor<16x2x{}xf32>, %high: tensor<20x2x{}xf32>",
      c.heads * c.headDim, c.headDim, c.pairs, c.pairs);
}

inline constexpr RopeCase ropeCases[] = {{4, 64, 32, false, false}, {3, 64, 32, true, true}, {2, 80, 16, false, true},
                                         {2, 128, 64, false, true}, {1, 8, 3, true, false},  {5, 24, 12, false, false},
                                         {2, 100, 25, true, true}};

} // namespace quantc::test
