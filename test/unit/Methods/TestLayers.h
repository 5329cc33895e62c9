//===- TestLayers.h - layers that the tests of methods share ----------------------------------------------------===//
#pragma once

#include "../Format/TestFormats.h"
#include "quantc/Methods/Awq.h"
#include "quantc/Methods/Gptq.h"
#include <memory>

namespace quantc::test {

/// A weight and its inputs.
struct Layer {
  int64_t N, K;
  std::vector<float> w;
  InputStatistics statistics;
};

/// The layer of test/oracle/layer_methods.py: 8 x 192, 512 tokens.
const Layer &oracleLayer();
/// Reads rows of K numbers.
ReadRows rowsOf(std::span<const float> w, int64_t K);
/// Correlated inputs whose channels differ in size, from four times as many tokens as channels (or `tokens`).
Layer randomLayer(int64_t N, int64_t K, unsigned seed, int64_t tokens = 0);

/// tr(dW H dWT) of fields as the format decodes them; `order` as of GptqResult.
double errorOf(const Format &format, const FieldValues &fields, const Layer &layer,
               const std::vector<int32_t> &order = {});
/// Without statistics, and with the Hessian's diagonal as importance.
double nearestError(const Format &format, const Layer &layer);
double importanceError(const Format &format, const Layer &layer);
/// A result; where it fails, a failed test and nothing.
std::unique_ptr<GptqResult> gptqOf(const Format &format, const Layer &layer, const GptqOptions &options,
                                   unsigned threads = 1);

} // namespace quantc::test
