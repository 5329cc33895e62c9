//===- MatrixProduct.h - products of matrices, the same bits on every machine -----------------------------------===//
#pragma once

#include <cstdint>

namespace quantc::linear {

/// A matrix whose element (i, j) lies at data[i * row + j * column].
template <typename Real> struct Strided {
  const Real *data;
  int64_t row, column = 1;
};

/// C (m x n, rows ldc apart) += A B, where A is m x k and B is k x n. Each sum goes over k ascending, with one rounding
/// for each multiplication and each addition: a wider vector has more sums, never other ones. One thread.
template <typename Real>
void addProduct(Real *c, int64_t ldc, Strided<Real> a, Strided<Real> b, int64_t m, int64_t n, int64_t k);
/// C -= A B, likewise.
template <typename Real>
void subtractProduct(Real *c, int64_t ldc, Strided<Real> a, Strided<Real> b, int64_t m, int64_t n, int64_t k);

} // namespace quantc::linear
