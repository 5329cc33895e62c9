//===- TableSearch.cpp - codes that index an ascending table ----------------------------------------------------===//

#include "Lanes.h"
#include "quantc/Encode/Searches.h"
#include <bit>
#include <cmath>

using namespace quantc::search;

/// Floats in ascending order as ascending integers, and back.
static int32_t orderOf(float v) {
  const auto bits = std::bit_cast<int32_t>(v);
  return bits < 0 ? INT32_MIN - bits : bits;
}
static float floatOf(int32_t order) {
  return std::bit_cast<float>(order < 0 ? INT32_MIN - order : order);
}

/// The least v that is at least as near to `upper` as to `lower`, both differences rounded.
static float threshold(float lower, float upper) {
  int64_t below = orderOf(lower), from = orderOf(upper);
  while (from - below > 1) {
    const int64_t middle = below + (from - below) / 2;
    const float v = floatOf(static_cast<int32_t>(middle));
    (v - lower < upper - v ? below : from) = middle;
  }
  return floatOf(static_cast<int32_t>(from));
}

NearestEntry::NearestEntry(std::span<const float> entries) : table(entries.begin(), entries.end()) {
  for (size_t j = 1; j < table.size(); j++)
    thresholds.push_back(threshold(table[j - 1], table[j]));
}

void NearestEntry::indices(const float *v, size_t count, float *out) const {
  for (size_t i = 0; i < count; i++) {
    const float x = v[i];
    float index = 0;
    for (float t : thresholds)
      index += x >= t ? 1.0f : 0.0f;
    out[i] = index;
  }
}

namespace {
struct Fit {
  Vec A, B; ///< sum w q x, sum w q q
};
} // namespace

void quantc::search::tableSearch(const Cells &in, const NearestEntry &entries, int tries, float *scale, float *codes) {
  const std::vector<float> &table = entries.table, &thresholds = entries.thresholds;
  std::vector<float> steps;
  for (size_t j = 0; j < thresholds.size(); j++)
    steps.push_back(table[j + 1] - table[j]);
  const bool exactSteps = [&] { // whether adding the steps gives the entries
    float sum = table[0];
    for (size_t j = 0; j < steps.size(); j++)
      if ((sum += steps[j]) != table[j + 1])
        return false;
    return true;
  }();
  auto entryAt = [&](Vec v) {
    Vec entry = splat(table[0]);
    if (exactSteps)
      for (size_t j = 0; j < steps.size(); j++)
        entry += select(v >= thresholds[j], splat(steps[j]), splat(0));
    else
      for (size_t j = 0; j < steps.size(); j++)
        entry = select(v >= thresholds[j], splat(table[j + 1]), entry);
    return entry;
  };
  std::vector<float> scaled(in.n);
  forBatches(in, [&](const Vec *x, const Vec *w, size_t first, size_t count) {
    auto fit = [&](Vec inverse) {
      Fit sums{splat(0), splat(0)};
      for (size_t i = 0; i < in.n; i++) {
        const Vec q = entryAt(inverse * x[i]);
        sums.A += w[i] * q * x[i];
        sums.B += w[i] * q * q;
      }
      return sums;
    };
    Vec largest = splat(0), m = splat(0);
    for (size_t i = 0; i < in.n; i++) {
      const Ints larger = abs(x[i]) > largest;
      largest = select(larger, abs(x[i]), largest);
      m = select(larger, x[i], m);
    }
    const Ints zero = largest < 1e-15f;
    m = select(zero, splat(1), m);
    Fit sums = fit(1.0f / (-m / table[0]));
    Vec d = select(sums.B > 0.0f, sums.A / sums.B, splat(0)), best = d * sums.A;
    for (int t = -tries; t <= tries; t++) {
      sums = fit((static_cast<float>(t) + table[0]) / m);
      const Ints better = (sums.B > 0.0f) & (sums.A * sums.A > best * sums.B);
      d = select(better, sums.A / sums.B, d);
      best = select(better, d * sums.A, best);
    }
    d = select(zero, splat(0), d);
    store(d, count, scale + first);
    if (!codes)
      return;
    // An all-zero cell has the codes of scaled numbers that are all 0.
    for (size_t l = 0; l < count; l++) {
      const float inverse = d[l] != 0 ? 1.0f / d[l] : 0.0f;
      for (size_t i = 0; i < in.n; i++)
        scaled[i] = inverse * x[i][l];
      entries.indices(scaled.data(), in.n, codes + (first + l) * in.n);
    }
  });
}
