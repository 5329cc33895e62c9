//===- Positions.h - which positions of the KV cache a token sees, and how parts share them -----------------------===//
#pragma once

#include "LayerBuilder.h"
#include "quantc/Dialect/NN/NN.h"

namespace quantc {

/// The positions [first, end) that a token sees. Kernels go over [begin, end): `begin` is a multiple of nn::keyGroup.
struct Positions {
  using Value = mlir::Value;

  Value first, begin, end;

  /// Those of the token at `position`.
  Positions(LayerBuilder &b, Value position, std::optional<int64_t> window) : end(b.add(position, 1)) {
    first = begin = b.i64(0);
    if (window) {
      first = b.max(first, b.sub(end, b.i64(*window)));
      begin = b.mul(b.div(first, nn::keyGroup), nn::keyGroup);
    }
  }

  /// How many of them, from `begin` on, each of `parts` parts has; the last ones have fewer, or none.
  Value ofPart(LayerBuilder &b, int64_t parts) const {
    Value runs = b.ceilDiv(b.sub(end, begin), nn::positionsOfPart);
    return b.mul(b.ceilDiv(runs, parts), nn::positionsOfPart);
  }
};

} // namespace quantc
