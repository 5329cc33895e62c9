//===- LinearKernel.h - one matrix product with its weights, its kernel and what it should give -----------------===//
#pragma once

#include "CompiledKernels.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Format/Decode.h"
#include <random>
#include <vector>

namespace quantc::test {

/// y[M][N] = x[M][K] W[N][K]ᵀ (+ residual), W in one format, for any M.
struct LinearCase {
  std::string spec;
  int64_t N, K;
  bool exact = false;    ///< f32 activations, unfused
  bool high = false;     ///< no int8 activations, but bf16 for all codes that are bf16 numbers
  bool residual = false; ///< add a matrix to the result
};

/// A buffer of bytes aligned to 64.
class AlignedBytes {
public:
  explicit AlignedBytes(size_t size, std::byte fill = std::byte(0));
  std::byte *data() const { return bytes.get(); }
  int64_t address() const { return reinterpret_cast<int64_t>(bytes.get()); }
  size_t size() const { return count; }

private:
  struct Free {
    void operator()(std::byte *p) const;
  };
  std::unique_ptr<std::byte, Free> bytes;
  size_t count;
};

/// Random weights of the case, encoded by the description's own clause, in kernel storage, and their values.
struct LinearWeights {
  static Result<LinearWeights> create(mlir::MLIRContext &context, const LinearCase &linear, unsigned seed = 1);
  AlignedBytes packed;
  std::vector<float> values; ///< reference decode, N × K
  std::string activations;   ///< specification, or "" for f32

  bool hasHalfActivations() const { return activations.starts_with("a16"); }
};

/// The specification of the activations that suit weights, with high precision or as fast as can be; "" where they take
/// f32.
Result<std::string> activationsFor(qf::BlockType weights, bool high = false);

/// Kernels `encode` and `linear` of a case.
std::string linearText(mlir::MLIRContext &context, const LinearCase &linear, const std::string &activations);

/// Activations as `encode` of a8 makes them, written down independently of the description: codes and scales.
struct ReferenceActivations {
  ReferenceActivations(const std::vector<float> &x, int64_t M, int64_t K, int64_t group);
  std::vector<int8_t> codes; ///< M × K
  std::vector<float> scales; ///< M × groups
  int64_t group, K;
  double value(int64_t m, int64_t k) const;
};

/// The nearest number of 8 significant bits, ties to even: bf16, written down independently of its bits.
double nearestHalf(float x);

/// Normally distributed numbers.
std::vector<float> randomNormal(size_t count, unsigned seed, float deviation = 1);

} // namespace quantc::test
