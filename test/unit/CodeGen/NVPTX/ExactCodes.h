//===- ExactCodes.h - which products of a GPU are exact -----------------------------------------------------------===//
#pragma once

#include "quantc/Format/Factoring.h"
#include <algorithm>

namespace quantc::test {

/// Whether all that a kernel multiplies with activations is an integer that their type holds (f16: up to 2048, bf16: up
/// to 256). Otherwise codes are rounded to that type, and a result has the error of it.
inline bool hasExactCodes(const Factoring &factoring, int64_t largest) {
  return std::ranges::all_of(factoring.terms(), [&](const DotTerm &term) {
    // Factors that change within a step of 16 columns are multiplied with the codes.
    const bool isFine =
        std::ranges::any_of(term.group, [](const Factor &f) { return !f.isConstantOver(16) && !f.integer; });
    return !isFine && (term.kind == CodeKind::None ||
                       (term.kind == CodeKind::Integer && std::max(-term.range.low, term.range.high) <= largest));
  });
}

} // namespace quantc::test
