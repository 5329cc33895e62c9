//===- GptqInputs.h - the order of columns, and the factored Hessian --------------------------------------------===//
#pragma once

#include "quantc/Methods/Gptq.h"

namespace quantc {

/// What all weights that read an input share. Columns have three numberings: those of the weight; *places*, in the
/// order in which they are rounded; and columns of the fields, which are those of the weight or (moving groups) places.
struct GptqInputs {
  explicit GptqInputs(std::pmr::memory_resource *memory) : factor(memory), hessian(memory) {}

  int64_t K = 0;
  std::vector<int32_t> source;     ///< the weight's column at a place
  std::vector<int32_t> column;     ///< the fields' column at a place
  std::vector<bool> dead;          ///< by place: the input is always 0
  std::vector<double> damping;     ///< by place: what was added to the Hessian's diagonal
  std::vector<float> importance;   ///< by column of the fields; may be empty
  std::pmr::vector<double> factor; ///< K x K over places: U with UT U = H^-1
  std::pmr::vector<float> hessian; ///< K x K over columns of the fields, damped; only for refit
  double damp = 0;                 ///< with which the factorization succeeded
  unsigned retries = 0;            ///< factorizations that failed
};

} // namespace quantc
