//===- Awq.h - input scales and clipping that protect the weights of large inputs -------------------------------===//
//
// Lin et al., "AWQ", 2023, as AutoAWQ does it. Errors are those of the outputs, by the inputs' second moments, and what
// quantizing does to a weight is the format's encode and decode: any format will do.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Format/Format.h"
#include "quantc/Methods/StatisticsSource.h"
#include <algorithm>
#include <functional>
#include <span>

namespace quantc {

/// A linear that takes the inputs in question; its weight has N rows of K numbers.
struct AwqLinear {
  ReadRows read; ///< is called from one thread
  int64_t N;
  const Format *format;
};

/// The values that quantizing gives N x K weights. Called from several threads at once.
using AwqRounding =
    std::function<Result<std::vector<float>>(const Format &format, std::span<const float> w, int64_t N, int64_t K)>;

/// What scales are made of.
enum class AwqScaleForm {
  Inputs,           ///< powers of the inputs' mean magnitudes, as in the paper
  InputsAndWeights, ///< also small where the weights are large, as in the paper's later implementations
  Both,             ///< each exponent both ways
};

struct AwqOptions {
  int steps = 20; ///< exponents 0, 1/steps, … below 1 are tried; clips down to a half in as many steps of 1/steps
  AwqScaleForm form = AwqScaleForm::Both;
  bool clip = true; ///< for callers: whether awqClip is to be used
  /// Of each linear so many rows, evenly spread, judge the exponents, and more as long as they have fewer weights than
  /// that: all of a small one.
  int64_t rows = 256, weights = int64_t(1) << 20;
  /// The rows that judge, of a linear with as many or more.
  int64_t rowsOf(int64_t K) const { return std::max(rows, weights / K); }
  /// What will quantize the scaled weights, by the statistics of the divided inputs, which last as long as it does: of
  /// one exponent after the other. Null: rounding to nearest.
  std::function<Result<AwqRounding>(const InputStatistics &divided)> rounding = nullptr;
  /// K x K: the mean of x xT of other inputs, by which scales are judged. Empty: that of the statistics.
  std::span<const float> judge = {};
  /// Where the divided Hessian of one exponent lies for `rounding`, 4 · K² bytes.
  std::pmr::memory_resource *memory = std::pmr::get_default_resource();
};

struct AwqScales {
  std::vector<float> scales; ///< K: the weight's columns are multiplied by them, the inputs divided
  double ratio = 0;          ///< the exponent
  double error = 0;          ///< sum over linears and rows of the outputs' mean squared error
  double errorBefore = 0;    ///< the same without scales
};

/// One scale for each feature, for all linears that share the inputs. Scales of 1 where no exponent lowers the error.
/// Needs the Hessian and meanAbs.
Result<AwqScales> awqScales(std::span<const AwqLinear> linears, int64_t K, const InputStatistics &statistics,
                            const AwqOptions &options, unsigned threads = 0);

/// Clamps the weights of each row and group to the symmetric range with which the group's share of the output error is
/// least. `w`: N x K, in place. The statistics are those of the inputs of this weight (dividedInputs).
Status awqClip(const Format &format, std::span<float> w, int64_t N, int64_t K, const InputStatistics &statistics,
               const AwqOptions &options, unsigned threads = 0);

/// The statistics of inputs that are divided by scales; `memory`: where their Hessian lies.
InputStatistics dividedInputs(const InputStatistics &statistics, std::span<const float> scales,
                              std::pmr::memory_resource *memory = std::pmr::get_default_resource());

} // namespace quantc
