//===- LinearAlgebra.cpp - dense matrices by Eigen --------------------------------------------------------------===//

#include "LinearAlgebra.h"
#include "MatrixProduct.h"
#include "quantc/Support/Parallel.h"

#define EIGEN_DONT_PARALLELIZE
#define EIGEN_MPL2_ONLY
#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <mutex>
#include <vector>

using namespace quantc;

template <typename Real> using Matrix = Eigen::Matrix<Real, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <typename Real> using View = Eigen::Map<Matrix<Real>, 0, Eigen::OuterStride<>>;
template <typename Real> using ConstView = Eigen::Map<const Matrix<Real>, 0, Eigen::OuterStride<>>;

/// Eigen cuts sums by the sizes of the caches that it finds: they must be the same everywhere.
static void fixCacheSizes() {
  static std::once_flag once;
  std::call_once(once, [] { Eigen::setCpuCacheSizes(32 << 10, 512 << 10, 4 << 20); });
}

/// Rows and columns of the blocks in which a matrix is factored.
static constexpr int64_t blockSize = 128;

/// Calls body(begin, size) for the blocks of [from, n), which begin at multiples of the block size.
template <typename Body> static void forBlocks(int64_t from, int64_t n, unsigned threads, Body body) {
  const int64_t first = from / blockSize, count = n > from ? (n - 1) / blockSize + 1 - first : 0;
  parallelFor(static_cast<size_t>(count), threads, [&](size_t i) {
    const int64_t begin = std::max(from, (first + int64_t(i)) * blockSize);
    body(begin, std::min((first + int64_t(i) + 1) * blockSize, n) - begin);
  });
}

/// The lower triangle of H becomes L with H = L LT, one block of columns after the other.
static bool factorLower(double *h, int64_t n, unsigned threads) {
  View<double> m(h, n, n, Eigen::OuterStride<>(n));
  for (int64_t k = 0; k < n; k += blockSize) {
    const int64_t columns = std::min(blockSize, n - k);
    forBlocks(k, n, threads, [&](int64_t row, int64_t rows) {
      linear::subtractProduct<double>(h + row * n + k, n, {h + row * n, n}, {h + k * n, 1, n}, rows, columns, k);
    });
    auto diagonal = m.block(k, k, columns, columns);
    Eigen::Ref<Matrix<double>, 0, Eigen::OuterStride<>> inPlace(diagonal);
    const Eigen::LLT<Eigen::Ref<Matrix<double>, 0, Eigen::OuterStride<>>> factor(inPlace);
    if (factor.info() != Eigen::Success || !(diagonal.diagonal().array() > 0).all() || !diagonal.diagonal().allFinite())
      return false;
    forBlocks(k + columns, n, threads, [&](int64_t row, int64_t rows) {
      auto below = m.block(row, k, rows, columns);
      diagonal.triangularView<Eigen::Lower>().transpose().solveInPlace<Eigen::OnTheRight>(below);
    });
  }
  return true;
}

/// The upper triangle R becomes its inverse U, one block of rows after the other from the last to the first:
/// U(i, later) = -U(i, i) R(i, later) U(later, later).
static void invertUpper(double *r, int64_t n, unsigned threads) {
  View<double> m(r, n, n, Eigen::OuterStride<>(n));
  std::vector<double> products(static_cast<size_t>(std::min(blockSize, n) * n));
  for (int64_t begin = (n - 1) / blockSize * blockSize; begin >= 0; begin -= blockSize) {
    const int64_t rows = std::min(blockSize, n - begin), end = begin + rows;
    Matrix<double> inverse = Matrix<double>::Identity(rows, rows);
    m.block(begin, begin, rows, rows).triangularView<Eigen::Upper>().solveInPlace(inverse);
    forBlocks(end, n, threads, [&](int64_t column, int64_t columns) {
      double *product = products.data() + rows * column;
      View<double> p(product, rows, columns, Eigen::OuterStride<>(columns));
      p.noalias() = m.block(begin, column, rows, columns) *
                    m.block(column, column, columns, columns).triangularView<Eigen::Upper>();
      linear::addProduct<double>(product, columns, {r + begin * n + end, n}, {r + end * n + column, n}, rows, columns,
                                 column - end);
    });
    forBlocks(end, n, threads, [&](int64_t column, int64_t columns) {
      View<double> to = View<double>(r + begin * n + column, rows, columns, Eigen::OuterStride<>(n));
      to.setZero();
      linear::subtractProduct<double>(to.data(), n, {inverse.data(), rows}, {products.data() + rows * column, columns},
                                      rows, columns, rows);
    });
    m.block(begin, begin, rows, rows).triangularView<Eigen::Upper>() = inverse;
  }
}

bool linear::factorInverse(double *h, int64_t n, unsigned threads) {
  fixCacheSizes();
  // With rows and columns reversed, the lower Cholesky factor is the upper R with H = R RT; then U = R^-1.
  std::reverse(h, h + n * n);
  if (!factorLower(h, n, threads))
    return false;
  std::reverse(h, h + n * n);
  invertUpper(h, n, threads);
  return true;
}

void linear::multiply(float *c, const float *a, int64_t lda, const float *b, int64_t ldb, int64_t m, int64_t n,
                      int64_t k) {
  std::fill_n(c, m * n, 0.0f);
  addProduct<float>(c, n, {a, lda}, {b, ldb}, m, n, k);
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
