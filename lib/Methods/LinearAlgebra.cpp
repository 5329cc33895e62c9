//===- LinearAlgebra.cpp - dense matrices by Eigen --------------------------------------------------------------===//

#include "LinearAlgebra.h"

#define EIGEN_DONT_PARALLELIZE
#define EIGEN_MPL2_ONLY
#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <mutex>

using namespace quantc;

template <typename Real> using Matrix = Eigen::Matrix<Real, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <typename Real> using View = Eigen::Map<Matrix<Real>, 0, Eigen::OuterStride<>>;
template <typename Real> using ConstView = Eigen::Map<const Matrix<Real>, 0, Eigen::OuterStride<>>;

/// Eigen cuts sums by the sizes of the caches that it finds: they must be the same everywhere.
static void fixCacheSizes() {
  static std::once_flag once;
  std::call_once(once, [] { Eigen::setCpuCacheSizes(32 << 10, 512 << 10, 4 << 20); });
}

bool linear::factorInverse(double *h, int64_t n) {
  fixCacheSizes();
  // With rows and columns reversed, the lower Cholesky factor is the upper R with H = R RT; then U = R^-1.
  std::reverse(h, h + n * n);
  View<double> m(h, n, n, Eigen::OuterStride<>(n));
  Eigen::Ref<Matrix<double>> inPlace(m);
  const Eigen::LLT<Eigen::Ref<Matrix<double>>> factor(inPlace);
  if (factor.info() != Eigen::Success || !(m.diagonal().array() > 0).all() || !m.diagonal().allFinite())
    return false;
  std::reverse(h, h + n * n);

  // Rows of blocks from the last to the first: U(i, later) = -U(i, i) R(i, later) U(later, later).
  constexpr int64_t step = 64;
  Matrix<double> product;
  for (int64_t begin = (n - 1) / step * step; begin >= 0; begin -= step) {
    const int64_t rows = std::min(step, n - begin), end = begin + rows, later = n - end;
    Matrix<double> inverse = Matrix<double>::Identity(rows, rows);
    m.block(begin, begin, rows, rows).triangularView<Eigen::Upper>().solveInPlace(inverse);
    if (later) {
      product.noalias() =
          m.block(begin, end, rows, later) * m.block(end, end, later, later).triangularView<Eigen::Upper>();
      m.block(begin, end, rows, later).noalias() = -inverse * product;
    }
    m.block(begin, begin, rows, rows).triangularView<Eigen::Upper>() = inverse;
  }
  return true;
}

void linear::subtractTransposed(double *c, int64_t ldc, const double *a, int64_t lda, const double *b, int64_t ldb,
                                int64_t m, int64_t n, int64_t k) {
  fixCacheSizes();
  if (m == 0 || n == 0 || k == 0)
    return;
  const ConstView<double> A(a, k, m, Eigen::OuterStride<>(lda)), B(b, k, n, Eigen::OuterStride<>(ldb));
  View<double>(c, m, n, Eigen::OuterStride<>(ldc)).noalias() -= A.transpose() * B;
}

void linear::multiply(float *c, const float *a, int64_t lda, const float *b, int64_t ldb, int64_t m, int64_t n,
                      int64_t k) {
  fixCacheSizes();
  const ConstView<float> A(a, m, k, Eigen::OuterStride<>(lda)), B(b, k, n, Eigen::OuterStride<>(ldb));
  View<float>(c, m, n, Eigen::OuterStride<>(n)).noalias() = A * B;
}

double linear::quadraticForm(const double *d, const float *h, int64_t m, int64_t n) {
  fixCacheSizes();
  constexpr int64_t step = 256;
  const ConstView<double> D(d, m, n, Eigen::OuterStride<>(n));
  const ConstView<float> H(h, n, n, Eigen::OuterStride<>(n));
  Matrix<double> part, product;
  double total = 0;
  for (int64_t k = 0; k < n; k += step) {
    const int64_t columns = std::min(step, n - k);
    part = H.middleCols(k, columns).cast<double>();
    product.noalias() = D * part;
    total += (product.array() * D.middleCols(k, columns).array()).sum();
  }
  return total;
}
