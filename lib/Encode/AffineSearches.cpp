//===- AffineSearches.cpp - a scale and a minimum, zero point or bias -------------------------------------------===//

#include "Lanes.h"
#include "quantc/Encode/Searches.h"
#include <algorithm>
#include <cmath>

using namespace quantc::search;

/// sum of w * |error| or w * error^2 of codes for the scale and minimum.
static Vec costOf(const Vec *x, const Vec *w, const Vec *code, size_t n, Vec scale, Vec low, bool mad) {
  Vec cost = splat(0);
  for (size_t i = 0; i < n; i++) {
    const Vec error = scale * code[i] + low - x[i];
    cost += w[i] * (mad ? abs(error) : error * error);
  }
  return cost;
}

void quantc::search::qkx(const Cells &in, const QkxConstants &c, float *scale, float *minimum, float *codes) {
  const float N = static_cast<float>(c.levels);
  std::vector<Vec> code(in.n);
  forBatches(in, [&](const Vec *x, const Vec *w, size_t first, size_t count) {
    Vec low = x[0], high = x[0], sw = w[0], sx = w[0] * x[0];
    for (size_t i = 1; i < in.n; i++) {
      low = min(low, x[i]);
      high = max(high, x[i]);
      sw += w[i];
      sx += w[i] * x[i];
    }
    low = min(low, splat(0));
    const Ints flat = high == low;
    const Vec flatMinimum = -low;

    // The codes are a function of an inverse scale and the minimum from which they are counted.
    auto codesFor = [&](Vec inverse, Vec from) {
      for (size_t i = 0; i < in.n; i++)
        code[i] = toVec(clamp(nearestInt(inverse * (x[i] - from)), 0, c.levels));
    };
    Vec chosen = N / (high - low), chosenLow = low;
    codesFor(chosen, low);
    Vec result = 1.0f / chosen, error = costOf(x, w, code.data(), in.n, result, low, c.mad);
    for (int t = 0; t <= c.steps; t++) {
      const Vec inverse = (c.rmin + c.rdelta * static_cast<float>(t) + N) / (high - low);
      Vec sl = splat(0), sl2 = splat(0), sxl = splat(0);
      for (size_t i = 0; i < in.n; i++) {
        const Vec l = toVec(clamp(nearestInt(inverse * (x[i] - low)), 0, c.levels));
        code[i] = l;
        sl += w[i] * l;
        sl2 += w[i] * l * l;
        sxl += w[i] * l * x[i];
      }
      const Vec D = sw * sl2 - sl * sl;
      Vec triedScale = (sw * sxl - sx * sl) / D, triedLow = (sl2 * sx - sl * sxl) / D;
      const Ints positive = triedLow > 0.0f;
      triedScale = select(positive, sxl / sl2, triedScale);
      triedLow = select(positive, splat(0), triedLow);
      const Vec triedError = costOf(x, w, code.data(), in.n, triedScale, triedLow, c.mad);
      const Ints better = (D > 0.0f) & (triedError < error) & ~flat;
      error = select(better, triedError, error);
      result = select(better, triedScale, result);
      chosen = select(better, inverse, chosen);
      chosenLow = select(better, low, chosenLow);
      low = select(better, triedLow, low); // later steps count from the new minimum
    }
    store(select(flat, splat(0), result), count, scale + first);
    store(select(flat, flatMinimum, -low), count, minimum + first);
    if (!codes)
      return;
    codesFor(chosen, chosenLow);
    for (size_t i = 0; i < in.n; i++)
      code[i] = select(flat, splat(0), code[i]);
    storeCodes(code.data(), in.n, count, codes + first * in.n);
  });
}

namespace {
struct Extremes {
  float low, high;
};
} // namespace

static Extremes extremes(const float *x, size_t n) {
  const auto [low, high] = std::minmax_element(x, x + n);
  return {*low, *high};
}

void quantc::search::affineGroup(const Cells &in, int bits, bool symmetric, float *scale, float *zero) {
  const float top = std::ldexp(1.0f, bits) - 1;
  for (size_t c = 0; c < in.cells; c++) {
    Extremes e = extremes(in.x + c * in.n, in.n);
    e = {std::min(e.low, 0.0f), std::max(e.high, 0.0f)};
    if (symmetric) {
      e.high = std::max(-e.low, e.high);
      if (e.low < 0)
        e.low = -e.high;
    }
    if (e.low == 0 && e.high == 0)
      e = {-1, 1};
    scale[c] = (e.high - e.low) / top;
    zero[c] = symmetric ? std::ldexp(1.0f, bits - 1) : std::nearbyint(-e.low / scale[c]);
  }
}

void quantc::search::edgeAffine(const Cells &in, int bits, float *scale, float *bias) {
  const float top = std::ldexp(1.0f, bits) - 1;
  for (size_t c = 0; c < in.cells; c++) {
    const Extremes e = extremes(in.x + c * in.n, in.n);
    const bool fromLow = std::fabs(e.low) > std::fabs(e.high);
    const float step = std::max((e.high - e.low) / top, 1e-7f), s = fromLow ? step : -step,
                edge = fromLow ? e.low : e.high;
    const float code = std::nearbyint(edge / s);
    scale[c] = code != 0 ? edge / code : s;
    bias[c] = code != 0 ? edge : 0;
  }
}

void quantc::search::halfQuadratic(const Cells &in, const HalfQuadraticConstants &k, float *scale, float *zero) {
  const float top = std::ldexp(1.0f, k.bits) - 1;
  for (size_t c = 0; c < in.cells; c++) {
    const float *x = in.x + c * in.n;
    const Extremes e = extremes(x, in.n);
    const float span = e.high - e.low, S = span <= 1e-4f ? 1.0f : std::min(top / span, 2e4f);
    float z = -e.low * S, least = INFINITY;
    if (k.bits == 4)
      z = std::nearbyint(z);
    for (int t = 0; t < k.iterations; t++) {
      float total = 0, next = 0;
      for (size_t i = 0; i < in.n; i++) {
        const float code = std::clamp(std::nearbyint(x[i] * S + z), 0.0f, top), error = x[i] - (code - z) / S;
        const float magnitude = std::fabs(error);
        const float shrunk = magnitude > 0 ? std::max(magnitude - std::pow(magnitude, k.p - 1) / k.beta, 0.0f) : 0.0f;
        total += magnitude;
        next += code - (x[i] - std::copysign(shrunk, error)) * S;
      }
      z = next / static_cast<float>(in.n);
      if (!(total < least))
        break;
      least = total;
    }
    scale[c] = 1 / S;
    zero[c] = z;
  }
}
