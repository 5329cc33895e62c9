//===- LinearAlgebraTest.cpp - products and factors of matrices, compared with their definitions -----------------===//

#include "LinearAlgebra.h"
#include "MatrixProduct.h"
#include <cmath>
#include <gtest/gtest.h>
#include <random>
#include <vector>

using namespace quantc;

template <typename Real> static std::vector<Real> randomNumbers(int64_t count, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal;
  std::vector<Real> numbers(count);
  for (Real &number : numbers)
    number = static_cast<Real>(normal(engine));
  return numbers;
}

/// The loop that the header describes, bit for bit.
template <typename Real> static void expectProduct(int64_t m, int64_t n, int64_t k, bool isTransposed) {
  const auto a = randomNumbers<Real>(m * k, 1), b = randomNumbers<Real>(k * n, 2),
             c = randomNumbers<Real>(m * (n + 3), 3);
  const linear::Strided<Real> A{a.data(), isTransposed ? 1 : k, isTransposed ? m : 1};
  auto sum = c, difference = c;
  linear::addProduct<Real>(sum.data(), n + 3, A, {b.data(), n}, m, n, k);
  linear::subtractProduct<Real>(difference.data(), n + 3, A, {b.data(), n}, m, n, k);
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n + 3; j++) {
      Real more = c[i * (n + 3) + j], less = more;
      for (int64_t l = 0; l < k && j < n; l++) {
        const Real term = A.data[i * A.row + l * A.column] * b[l * n + j];
        more += term;
        less -= term;
      }
      ASSERT_EQ(sum[i * (n + 3) + j], more) << m << " x " << n << " x " << k << " at " << i << ", " << j;
      ASSERT_EQ(difference[i * (n + 3) + j], less) << m << " x " << n << " x " << k << " at " << i << ", " << j;
    }
}

TEST(LinearAlgebra, ProductsAreSumsInOrder) {
  for (int64_t m : {1, 7, 8, 9})
    for (int64_t n : {1, 8, 15, 16, 17, 257})
      for (int64_t k : {0, 1, 128, 129, 300}) {
        expectProduct<float>(m, n, k, false);
        expectProduct<double>(m, n, k, true);
      }
}

/// U UT-transposed: UT U H must be the identity.
TEST(LinearAlgebra, FactorsInvert) {
  for (int64_t n : {1, 2, 127, 128, 129, 300, 400}) {
    const auto x = randomNumbers<double>(n * (n + 8), 4);
    std::vector<double> h(n * n);
    for (int64_t i = 0; i < n; i++)
      for (int64_t j = 0; j < n; j++) {
        for (int64_t t = 0; t < n + 8; t++)
          h[i * n + j] += x[i * (n + 8) + t] * x[j * (n + 8) + t] / double(n);
        h[i * n + j] += i == j ? 0.5 : 0;
      }
    auto u = h, again = h;
    ASSERT_TRUE(linear::factorInverse(u.data(), n, 1));
    ASSERT_TRUE(linear::factorInverse(again.data(), n, 3));
    std::vector<double> uh(n * n);
    for (int64_t i = 0; i < n; i++)
      for (int64_t j = 0; j < n; j++) {
        for (int64_t l = i; l < n; l++)
          uh[i * n + j] += u[i * n + l] * h[l * n + j];
        if (j >= i)
          ASSERT_EQ(u[i * n + j], again[i * n + j]) << "whatever the number of threads";
      }
    double worst = 0;
    for (int64_t i = 0; i < n; i++)
      for (int64_t j = 0; j < n; j++) {
        double entry = 0;
        for (int64_t l = 0; l <= i; l++)
          entry += u[l * n + i] * uh[l * n + j];
        worst = std::max(worst, std::fabs(entry - (i == j)));
      }
    EXPECT_LT(worst, 1e-10) << n;
  }
}

TEST(LinearAlgebra, SaysWhatIsNotPositiveDefinite) {
  std::vector<double> h(300 * 300);
  for (int64_t i = 0; i < 300; i++)
    h[i * 301] = i == 17 ? -1 : 1;
  EXPECT_FALSE(linear::factorInverse(h.data(), 300, 2));
}
