//===- LinearAlgebra.h - dense matrices, the same result on every machine ---------------------------------------===//
//
// All matrices are row-major. The order of every sum depends on the sizes only, not on threads.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include <cstdint>

namespace quantc::linear {

/// H (n x n, symmetric) is replaced by the upper triangle U with UT U = H^-1, below which there is anything. False
/// where H is not positive definite; then H is lost.
bool factorInverse(double *h, int64_t n, unsigned threads);

/// C (m x n, contiguous) = A B, where A is m x k (rows lda apart) and B is k x n (rows ldb apart).
void multiply(float *c, const float *a, int64_t lda, const float *b, int64_t ldb, int64_t m, int64_t n, int64_t k);

/// Sum of D(i, j) * (D H)(i, j), where D is m x n (contiguous) and H is n x n; in f64.
double quadraticForm(const double *d, const float *h, int64_t m, int64_t n);

} // namespace quantc::linear
