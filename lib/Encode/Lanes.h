//===- Lanes.h - several cells at a time, one in each lane of a vector ------------------------------------------===//
//
// Vectors of 16 bytes exist on every machine that quantc runs on, and an operation on them is that operation on each
// lane: the results do not depend on the machine. Two vectors hide the latency of sums.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace quantc::search {

using Vec = float __attribute__((vector_size(16)));
using Ints = int32_t __attribute__((vector_size(16)));
constexpr size_t lanes = 4;

inline Vec splat(float v) {
  return Vec{v, v, v, v};
}
inline Vec select(Ints mask, Vec a, Vec b) {
  return mask ? a : b;
}
inline Ints bitsOf(Vec v) {
  Ints i;
  std::memcpy(&i, &v, sizeof i);
  return i;
}
inline Vec vecOf(Ints i) {
  Vec v;
  std::memcpy(&v, &i, sizeof v);
  return v;
}
inline Vec toVec(Ints i) {
  return __builtin_convertvector(i, Vec);
}
inline Vec abs(Vec v) {
  return vecOf(bitsOf(v) & 0x7fffffff);
}
inline Vec min(Vec a, Vec b) {
  return select(b < a, b, a);
}
inline Vec max(Vec a, Vec b) {
  return select(a < b, b, a);
}
inline bool any(Ints mask) {
  return (mask[0] | mask[1] | mask[2] | mask[3]) != 0;
}

/// To the nearest integer, halves to even; exact within 2^22, beyond it wraps as ggml's nearest_int does.
inline Ints nearestInt(Vec v) {
  return (bitsOf(v + 12582912.0f) & 0x7fffff) - 0x400000;
}
inline Ints clamp(Ints v, int32_t low, int32_t high) {
  const Ints l = Ints{low, low, low, low}, h = Ints{high, high, high, high};
  const Ints atLeast = v < l ? l : v;
  return atLeast > h ? h : atLeast;
}

/// Calls body(x, w, first, count) for each batch of cells [first, first + count): x[i] and w[i] hold number i of the
/// batch's cells, one a lane; lanes beyond `count` repeat the last cell.
template <typename Cells, typename Body> void forBatches(const Cells &in, Body body) {
  std::vector<Vec> x(in.n), w(in.w ? in.n : 0);
  for (size_t first = 0; first < in.cells; first += lanes) {
    const size_t count = in.cells - first < lanes ? in.cells - first : lanes;
    for (size_t l = 0; l < lanes; l++) {
      const size_t from = (first + (l < count ? l : count - 1)) * in.n;
      for (size_t i = 0; i < in.n; i++)
        x[i][l] = in.x[from + i];
      for (size_t i = 0; i < w.size(); i++)
        w[i][l] = in.w[from + i];
    }
    body(x.data(), w.data(), first, count);
  }
}

inline void store(Vec v, size_t count, float *out) {
  for (size_t l = 0; l < count; l++)
    out[l] = v[l];
}

/// Codes of a batch back to cells of `n` numbers.
inline void storeCodes(const Vec *codes, size_t n, size_t count, float *out) {
  for (size_t l = 0; l < count; l++)
    for (size_t i = 0; i < n; i++)
      out[l * n + i] = codes[i][l];
}

} // namespace quantc::search
