//===- Evaluate.h - perplexity, KL divergence, top-1 agreement --------------------------------------------------===//
#pragma once

#include "quantc/Runtime/Session.h"
#include <functional>
#include <optional>

namespace quantc {

/// log softmax(logits)[token], in f64. The logits are finite or -infinity, at least one finite.
double logProbability(std::span<const float> logits, int32_t token);

/// Sum over tokens of p · (log p − log q), p = softmax(reference), q = softmax(logits), in f64, in nats.
double klDivergence(std::span<const float> reference, std::span<const float> logits);

/// The token of the largest logit, the smallest id of several.
int32_t argmax(std::span<const float> logits);

struct PerplexityOptions {
  int64_t chunk = 512;             ///< Tokens of a chunk (`--ctx`), >= 4.
  std::optional<int32_t> bos = {}; ///< Stands in for the first token of each chunk, where the tokenizer adds one.
  /// Called after each chunk with the number done and in all, and the perplexity so far; false ends the evaluation.
  std::function<bool(int64_t done, int64_t total, double perplexity)> progress = {};
};

struct Perplexity {
  double perplexity = 0;
  int64_t tokens = 0; ///< Scored.
  /// Means over the scored tokens, where a reference was given.
  std::optional<double> klDivergence = {}, top1 = {};
};

/// Perplexity by llama.cpp's convention: chunks of options.chunk tokens that do not overlap, each from an empty KV
/// cache; logits of positions [chunk/2, chunk − 1) score the token that follows. An incomplete last chunk is left out.
/// The session is reset. Fails where `tokens` hold no whole chunk, the context is smaller than a chunk, or logits are
/// NaN.
Result<Perplexity> perplexity(Session &session, std::span<const int32_t> tokens, const PerplexityOptions &options = {},
                              Session *reference = nullptr);

} // namespace quantc
