//===- Importance.h - scales and codes by the sizes of the inputs -----------------------------------------------===//
//
// The clause `imatrix` of a format weighs the error of a weight by the mean square of its input. That is the error of
// the output where inputs do not depend on each other. Where it is known how they do, several clauses and weights are
// tried, and what an output's error says decides.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Format/Decode.h"
#include "quantc/Methods/InputStatistics.h"
#include <span>

namespace quantc {

/// `w`: N x K, row-major. Without a Hessian: the clause `imatrix` with the mean squares. With one, each part of a row
/// that has fields of its own takes what lowers tr(dW H dWT) most, H damped as for GPTQ, of the clause without
/// statistics and of the clause `imatrix` with the mean squares, with their roots and with ones. The same bytes for
/// every number of threads.
Result<FieldValues> encodeByImportance(const Format &format, std::span<const float> w, int64_t N, int64_t K,
                                       const InputStatistics &statistics, unsigned threads = 0);

} // namespace quantc
