//===- CheckKernels.cpp - kernels on a GPU against f64 ------------------------------------------------------------===//

#include "CheckKernels.h"
#include "ExactCodes.h"
#include "quantc/Format/Arithmetic.h"
#include <cmath>
#include <random>
#include <set>

using namespace quantc;
using namespace quantc::gpu;

double gpu::limitOf(const StripWeight &weight) {
  return test::hasExactCodes(Factoring(weight.storage().fields().format()), 2048) ? 2e-5 : 5e-4;
}

/// The first and the last of `count`, and others.
static std::set<int64_t> sample(int64_t count, int64_t edge, int64_t others) {
  std::set<int64_t> some;
  std::mt19937_64 engine(static_cast<uint64_t>(count));
  for (int64_t i = 0; i < std::min(edge, count); i++)
    some.insert({i, count - 1 - i});
  for (int64_t i = 0; i < others; i++)
    some.insert(static_cast<int64_t>(engine() % static_cast<uint64_t>(count)));
  return some;
}

/// Half the distance to the next number of f16.
static double halfUlp(double number) {
  return std::ldexp(1.0, std::max(std::ilogb(std::abs(number)), -14) - 11);
}

Result<double> gpu::errorOf(const std::shared_ptr<const cuda::Device> &device, const LinearKernel &kernel,
                            const StripWeight &weight, cuda::Address packed, int64_t tokens) {
  const cuda::Driver &d = device->driver();
  const auto N = static_cast<size_t>(kernel.rows()), K = static_cast<size_t>(kernel.columns());
  const Activations activations(kernel.columns());
  QUANTC_ASSIGN(const cuda::DeviceMemory x, activations.upload(device, tokens));
  const uint64_t rowBytes = N * sizeof(uint16_t), bytes = rowBytes * static_cast<uint64_t>(tokens + 1);
  QUANTC_ASSIGN(const cuda::DeviceMemory y, cuda::DeviceMemory::allocate(device, bytes));
  QUANTC_ASSIGN(const cuda::WorkStream stream, cuda::WorkStream::create(device));
  QUANTC_ASSIGN(const cuda::Device::Current current, device->makeCurrent());
  QUANTC_TRY(d.check(d.fillAsync(y.address(), 0xff, bytes, stream.handle()), "filling"));
  QUANTC_TRY(kernel.launch(stream.handle(), x.address(), packed, y.address(), tokens));

  double errors = 0, squares = 0;
  std::vector<uint16_t> row(N);
  const auto fetch = [&](int64_t token) -> Status {
    QUANTC_TRY(d.check(
        d.copyToHostAsync(row.data(), y.address() + rowBytes * static_cast<uint64_t>(token), rowBytes, stream.handle()),
        "copying the result"));
    return d.check(d.streamSynchronize(stream.handle()), kernel.title().c_str());
  };
  for (const int64_t m : sample(tokens, 3, 10)) {
    QUANTC_TRY(fetch(m));
    for (size_t n = 0; n < N; n++)
      if (!std::isfinite(fromF16(row[n])))
        return fail("token {}, row {} is {}", m, n, fromF16(row[n]));
    for (const int64_t n : sample(kernel.rows(), 16, 32)) {
      double sum = 0;
      for (size_t k = 0; k < K; k++)
        sum += static_cast<double>(activations.row(m)[k]) * weight.row(n)[k];
      const double beyond = std::max(0.0, std::abs(fromF16(row[static_cast<size_t>(n)]) - sum) - halfUlp(sum));
      errors += beyond * beyond;
      squares += sum * sum;
    }
  }
  QUANTC_TRY(fetch(tokens));
  for (const uint16_t untouched : row)
    if (untouched != 0xffff)
      return fail("writes behind the last token");
  return std::sqrt(errors / squares);
}
