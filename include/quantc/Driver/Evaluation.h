//===- Evaluation.h - how well a model predicts a text ----------------------------------------------------------===//
#pragma once

#include "quantc/Driver/Models.h"
#include "quantc/Runtime/Evaluate.h"

namespace quantc {

struct EvaluationOptions {
  std::filesystem::path text;
  int64_t context = 512; ///< tokens of a chunk
  int64_t chunks = 0;    ///< only the first; 0: all
  unsigned threads = 0;
  std::function<void(int64_t done, int64_t total, double perplexity)> progress;
};

/// Perplexity on a text (Evaluate.h); with a reference also the divergence from it.
Result<Perplexity> evaluate(const std::shared_ptr<const Model> &model, const Tokenizer &tokenizer,
                            const EvaluationOptions &options, const std::shared_ptr<const Model> &reference = nullptr);

} // namespace quantc
