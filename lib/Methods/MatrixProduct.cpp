//===- MatrixProduct.cpp - products of matrices, the same bits on every machine ---------------------------------===//
//
// Eigen at the baseline level uses a quarter of the vectors that processors have; at any other level it fuses
// multiplications and additions where it can, so that results depend on the machine. Here each target has the same
// loop, unfused.
//
//===-----------------------------------------------------------------------------------------------------------===//

#include "MatrixProduct.h"
#include <algorithm>

using namespace quantc;

namespace {

constexpr int64_t tileRows = 8;       ///< of C in registers
constexpr int64_t depth = 128;        ///< terms of each sum that are taken at a time
constexpr int64_t blockColumns = 256; ///< of B that are copied at a time, into the second-level cache

template <typename Real> struct Vector {
  typedef Real Type __attribute__((vector_size(64), aligned(64)));
  static constexpr int64_t lanes = 64 / sizeof(Real);
};

/// c (tileRows x one vector, rows ldc apart) += a (k x tileRows) transposed times b (k vectors).
template <typename Real>
[[gnu::always_inline]] inline void addTile(Real *c, int64_t ldc, const Real *a, const Real *b, int64_t k) {
  using V = typename Vector<Real>::Type;
  V sums[tileRows];
  for (int64_t i = 0; i < tileRows; i++)
    __builtin_memcpy(&sums[i], c + i * ldc, sizeof(V));
  for (int64_t l = 0; l < k; l++) {
    const V terms = reinterpret_cast<const V *>(b)[l];
#pragma clang loop unroll(full)
    for (int64_t i = 0; i < tileRows; i++)
      sums[i] += a[l * tileRows + i] * terms;
  }
  for (int64_t i = 0; i < tileRows; i++)
    __builtin_memcpy(c + i * ldc, &sums[i], sizeof(V));
}

template <typename Real> using Tile = void (*)(Real *c, int64_t ldc, const Real *a, const Real *b, int64_t k);

#ifdef __x86_64__
template <typename Real>
[[gnu::target("avx512f")]] void tile512(Real *c, int64_t ldc, const Real *a, const Real *b, int64_t k) {
  addTile(c, ldc, a, b, k);
}
template <typename Real>
[[gnu::target("avx2")]] void tile256(Real *c, int64_t ldc, const Real *a, const Real *b, int64_t k) {
  addTile(c, ldc, a, b, k);
}
#endif
template <typename Real> void tileBaseline(Real *c, int64_t ldc, const Real *a, const Real *b, int64_t k) {
  addTile(c, ldc, a, b, k);
}

template <typename Real> Tile<Real> tileOfThisMachine() {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx512f"))
    return tile512<Real>;
  if (__builtin_cpu_supports("avx2"))
    return tile256<Real>;
#endif
  return tileBaseline<Real>;
}

/// Some columns and terms of B, one vector of columns after the other, zeros beyond the last.
template <typename Real> void packColumns(Real *out, const linear::Strided<Real> &b, int64_t n, int64_t k) {
  constexpr int64_t lanes = Vector<Real>::lanes;
  for (int64_t j = 0; j < n; j += lanes)
    for (int64_t l = 0; l < k; l++, out += lanes) {
      const Real *from = b.data + l * b.row + j * b.column;
      const int64_t count = std::min(lanes, n - j);
      if (b.column == 1 && count == lanes)
        std::copy_n(from, lanes, out);
      else
        for (int64_t lane = 0; lane < lanes; lane++)
          out[lane] = lane < count ? from[lane * b.column] : Real(0);
    }
}

/// Some rows and terms of A, times `sign`; zeros beyond the last row.
template <typename Real> void packRows(Real *out, const linear::Strided<Real> &a, int64_t m, int64_t k, Real sign) {
  for (int64_t l = 0; l < k; l++, out += tileRows) {
    const Real *from = a.data + l * a.column;
    if (a.row == 1 && m == tileRows)
      for (int64_t i = 0; i < tileRows; i++)
        out[i] = sign * from[i];
    else
      for (int64_t i = 0; i < tileRows; i++)
        out[i] = i < m ? sign * from[i * a.row] : Real(0);
  }
}

/// A tile that C does not hold as a whole.
template <typename Real>
void addEdge(Tile<Real> tile, Real *c, int64_t ldc, const Real *a, const Real *b, int64_t m, int64_t n, int64_t k) {
  constexpr int64_t lanes = Vector<Real>::lanes;
  alignas(64) Real whole[tileRows * lanes] = {};
  for (int64_t i = 0; i < m; i++)
    std::copy_n(c + i * ldc, n, whole + i * lanes);
  tile(whole, lanes, a, b, k);
  for (int64_t i = 0; i < m; i++)
    std::copy_n(whole + i * lanes, n, c + i * ldc);
}

template <typename Real>
void accumulate(Real *c, int64_t ldc, linear::Strided<Real> a, linear::Strided<Real> b, int64_t m, int64_t n, int64_t k,
                Real sign) {
  constexpr int64_t lanes = Vector<Real>::lanes;
  const Tile<Real> tile = tileOfThisMachine<Real>();
  alignas(64) Real columns[depth * blockColumns], rows[depth * tileRows];
  for (int64_t j = 0; j < n; j += blockColumns)
    for (int64_t l = 0; l < k; l += depth) {
      const int64_t width = std::min(blockColumns, n - j), terms = std::min(depth, k - l);
      packColumns<Real>(columns, {b.data + l * b.row + j * b.column, b.row, b.column}, width, terms);
      for (int64_t i = 0; i < m; i += tileRows) {
        const int64_t count = std::min(tileRows, m - i);
        packRows<Real>(rows, {a.data + i * a.row + l * a.column, a.row, a.column}, count, terms, sign);
        for (int64_t v = 0; v < width; v += lanes) {
          Real *to = c + i * ldc + j + v;
          if (count == tileRows && width - v >= lanes)
            tile(to, ldc, rows, columns + v * terms, terms);
          else
            addEdge(tile, to, ldc, rows, columns + v * terms, count, std::min(lanes, width - v), terms);
        }
      }
    }
}

} // namespace

template <typename Real>
void linear::addProduct(Real *c, int64_t ldc, Strided<Real> a, Strided<Real> b, int64_t m, int64_t n, int64_t k) {
  accumulate<Real>(c, ldc, a, b, m, n, k, 1);
}
template <typename Real>
void linear::subtractProduct(Real *c, int64_t ldc, Strided<Real> a, Strided<Real> b, int64_t m, int64_t n, int64_t k) {
  accumulate<Real>(c, ldc, a, b, m, n, k, -1);
}

template void linear::addProduct(float *, int64_t, Strided<float>, Strided<float>, int64_t, int64_t, int64_t);
template void linear::addProduct(double *, int64_t, Strided<double>, Strided<double>, int64_t, int64_t, int64_t);
template void linear::subtractProduct(float *, int64_t, Strided<float>, Strided<float>, int64_t, int64_t, int64_t);
template void linear::subtractProduct(double *, int64_t, Strided<double>, Strided<double>, int64_t, int64_t, int64_t);
