//===- Cublas.h - products of f16 matrices by NVIDIA's library, if it is there ------------------------------------===//
#pragma once

#include "quantc/Runtime/CUDA/Device.h"

namespace quantc::gpu {

/// cuBLAS, opened by dlopen: the ceiling of products of many tokens.
class Cublas {
public:
  /// Null where no version of it is found or it does not start. The context must be current.
  static std::unique_ptr<Cublas> open(cuda::Stream stream);
  ~Cublas();
  /// y[m][n] = x[m][k] w[n][k]ᵀ, f16, sums in f32.
  Status product(cuda::Address x, cuda::Address w, cuda::Address y, int64_t m, int64_t n, int64_t k) const;

private:
  Cublas() = default;
  void *handle = nullptr;
  int (*destroy)(void *) = nullptr;
  int (*gemm)(void *handle, int transposeA, int transposeB, int m, int n, int k, const void *alpha, const void *A,
              int typeA, int strideA, const void *B, int typeB, int strideB, const void *beta, void *C, int typeC,
              int strideC, int computeType, int algorithm) = nullptr;
};

} // namespace quantc::gpu
