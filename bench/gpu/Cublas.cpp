//===- Cublas.cpp - products of f16 matrices by NVIDIA's library, if it is there ----------------------------------===//

#include "Cublas.h"
#include <dlfcn.h>

using namespace quantc;
using namespace quantc::gpu;

std::unique_ptr<Cublas> Cublas::open(cuda::Stream stream) {
  void *library = nullptr;
  for (const char *name : {"libcublas.so.13", "libcublas.so.12", "libcublas.so.11", "libcublas.so"})
    if (!library)
      library = ::dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (!library)
    return nullptr;
  std::unique_ptr<Cublas> cublas(new Cublas);
  const auto create = reinterpret_cast<int (*)(void **)>(::dlsym(library, "cublasCreate_v2"));
  const auto setStream = reinterpret_cast<int (*)(void *, cuda::Stream)>(::dlsym(library, "cublasSetStream_v2"));
  cublas->destroy = reinterpret_cast<int (*)(void *)>(::dlsym(library, "cublasDestroy_v2"));
  cublas->gemm = reinterpret_cast<decltype(cublas->gemm)>(::dlsym(library, "cublasGemmEx"));
  const bool works = create && setStream && cublas->destroy && cublas->gemm && create(&cublas->handle) == 0 &&
                     setStream(cublas->handle, stream) == 0;
  return works ? std::move(cublas) : nullptr;
}

Cublas::~Cublas() {
  if (handle)
    destroy(handle);
}

Status Cublas::product(cuda::Address x, cuda::Address w, cuda::Address y, int64_t m, int64_t n, int64_t k) const {
  enum { NotTransposed = 0, Transposed = 1, F16 = 2, ComputeF32 = 68, DefaultAlgorithm = -1 };
  const float one = 1, zero = 0;
  const int rows = static_cast<int>(n), tokens = static_cast<int>(m), columns = static_cast<int>(k);
  // Its matrices are column-major: y is n x m there, w k x n.
  const int status = gemm(handle, Transposed, NotTransposed, rows, tokens, columns, &one,
                          reinterpret_cast<const void *>(w), F16, columns, reinterpret_cast<const void *>(x), F16,
                          columns, &zero, reinterpret_cast<void *>(y), F16, rows, ComputeF32, DefaultAlgorithm);
  return status == 0 ? Status() : fail("cuBLAS fails with status {}", status);
}
