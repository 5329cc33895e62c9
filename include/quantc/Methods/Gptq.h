//===- Gptq.h - error feedback by the inputs' second moments ----------------------------------------------------===//
//
// Columns are rounded one after the other; the error that a column's rounding makes in the outputs is made good, as far
// as it can be, by the columns that still come. (Frantar et al., "GPTQ", 2022; Frantar and Alistarh, "Optimal Brain
// Compression", 2022.) Works in every format that has one code for each weight.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Format/Decode.h"
#include "quantc/Methods/InputStatistics.h"
#include <memory>
#include <span>

namespace quantc {

/// From which weights the scales of a group are taken.
enum class GptqScales {
  Updated, ///< as all earlier columns have changed them (the paper)
  Block,   ///< as they were when the block of columns began in which the group begins (usual implementations)
};

/// What the scales of a group are searched by.
enum class GptqGrid {
  Weighted, ///< squared errors of weights times the mean squares of their inputs
  Mse,      ///< squared errors of weights
  Range,    ///< no search: the format's clause `encode`, from the least to the largest weight
};

struct GptqOptions {
  double damp = 0.01;        ///< this part of the mean of the Hessian's diagonal is added to it
  bool actOrder = false;     ///< columns with the largest inputs first
  bool staticGroups = false; ///< all scales from the original weights; columns keep their groups
  GptqScales scales = GptqScales::Updated;
  int64_t block = 128; ///< columns after which the others are updated
  bool refit = true;   ///< in the end scales, zero points and codes anew, each where that lowers the error
  int sweeps = 2;      ///< over all columns by refit
  GptqGrid grid = GptqGrid::Weighted; ///< searches are those of the format's clause `imatrix`, if it has one
  bool operator==(const GptqOptions &) const = default;
};

struct GptqResult {
  FieldValues fields;
  /// Empty: columns have their natural order. Else column order[j] of the weight stands at place j of the fields.
  std::vector<int32_t> order;
  double error = 0;     ///< tr(dW H dWT)
  double damp = 0;      ///< with which the Cholesky factorization succeeded, as GptqOptions::damp
  unsigned retries = 0; ///< factorizations that failed
};

/// What all weights that read an input share: the order of columns, the factored Hessian.
struct GptqInputs;
using GptqInputsRef = std::shared_ptr<const GptqInputs>;

/// Fails where the statistics have no Hessian, or none that any damping makes positive definite. `memory`: where the
/// matrices lie, 12 · K² bytes (8 without refit); it outlives them.
Result<GptqInputsRef> gptqInputs(const InputStatistics &statistics, const GptqOptions &options, unsigned threads = 0,
                                 std::pmr::memory_resource *memory = std::pmr::get_default_resource());

/// `w`: N x K, row-major. `options`: those of the inputs. The same bytes for every number of threads. Fails where the
/// inputs do not fit, where a number is NaN or infinite, and for formats whose codes are chosen jointly.
Result<GptqResult> gptq(const Format &format, std::span<const float> w, int64_t N, int64_t K, const GptqInputs &inputs,
                        const GptqOptions &options, unsigned threads = 0);
/// The same for one weight alone.
Result<GptqResult> gptq(const Format &format, std::span<const float> w, int64_t N, int64_t K,
                        const InputStatistics &statistics, const GptqOptions &options, unsigned threads = 0);

/// Puts the columns of rows of K values, which lie in `GptqResult::order`, where the weight has them.
void restoreColumns(std::span<const int32_t> order, std::span<float> values);

/// tr((W' - W) H (W' - W)T): the mean squared error of the outputs, summed over N rows; in f64.
double outputError(std::span<const float> w, std::span<const float> approximation, int64_t N, int64_t K,
                   std::span<const float> hessian);

} // namespace quantc
