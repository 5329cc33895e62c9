//===- Speed.h - how fast a session computes ----------------------------------------------------------------------===//
#pragma once

#include "quantc/Runtime/Session.h"
#include <vector>

namespace quantc {

/// Tokens per second, of each round.
struct Speed {
  std::vector<double> prefill, decode;
};

/// So many rounds, each from an empty KV cache: a prompt of some tokens at once, then tokens one by one, which a GPU
/// that computes all of the model chooses itself. Nothing is measured of what has no tokens.
Result<Speed> measureSpeed(Session &session, int64_t prompt, int64_t tokens, int64_t rounds);

/// Bytes of the weights that a decoded token reads whole: all that stages behind the embedding name, as they lie where
/// the model runs.
uint64_t weightBytes(const Model &model);

/// Bytes per second of the memory where the weights lie, measured: of a processor's what so many threads read (0: one
/// for each processor), of a GPU's what copies read and write; of both, one after the other, where a part lies in each.
Result<double> weightBandwidth(const Model &model, unsigned threads = 0);

} // namespace quantc
