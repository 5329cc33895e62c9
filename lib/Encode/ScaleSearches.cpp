//===- ScaleSearches.cpp - codes without a minimum: qx, q3s, qp -------------------------------------------------===//

#include "Lanes.h"
#include "quantc/Encode/Searches.h"

using namespace quantc::search;

/// Cells whose largest magnitude is below this are zero.
static constexpr float groupMaxEps = 1e-15f;

/// The number of largest magnitude, the first of equals.
static Vec signedAbsmax(const Vec *x, size_t n) {
  Vec largest = splat(0), result = splat(0);
  for (size_t i = 0; i < n; i++) {
    const Ints larger = abs(x[i]) > largest;
    largest = select(larger, abs(x[i]), largest);
    result = select(larger, x[i], result);
  }
  return result;
}

/// A / B, 0 where B is not above 0.
static Vec ratio(Vec A, Vec B) {
  return select(B > 0.0f, A / B, splat(0));
}

namespace {
/// Sums of a least-squares fit of x by scale * code.
struct Fit {
  Vec A, B; ///< sum w x l, sum w l l
};
} // namespace

static Fit fitSymmetric(const Vec *x, const Vec *w, size_t n, Vec inverse, int levels) {
  Fit fit{splat(0), splat(0)};
  for (size_t i = 0; i < n; i++) {
    const Vec l = toVec(clamp(nearestInt(inverse * x[i]), -levels, levels - 1));
    fit.A += w[i] * x[i] * l;
    fit.B += w[i] * l * l;
  }
  return fit;
}

void quantc::search::qx(const Cells &in, int levels, float *scale, float *codes) {
  const float N = static_cast<float>(levels);
  std::vector<Vec> code(in.n);
  forBatches(in, [&](const Vec *x, const Vec *w, size_t first, size_t count) {
    Vec m = signedAbsmax(x, in.n);
    const Ints zero = abs(m) < groupMaxEps;
    m = select(zero, splat(1), m);
    Vec chosen = -N / m;
    Fit fit = fitSymmetric(x, w, in.n, chosen, levels);
    Vec result = select(fit.B != 0.0f, fit.A / fit.B, splat(0)), best = result * fit.A;
    for (int t = -9; t <= 9; t++) {
      if (t == 0)
        continue;
      const Vec inverse = -(N + 0.1f * static_cast<float>(t)) / m;
      fit = fitSymmetric(x, w, in.n, inverse, levels);
      const Ints better = (fit.B > 0.0f) & (fit.A * fit.A > best * fit.B);
      result = select(better, fit.A / fit.B, result);
      best = select(better, result * fit.A, best);
      chosen = select(better, inverse, chosen);
    }
    store(select(zero, splat(0), result), count, scale + first);
    if (!codes)
      return;
    for (size_t i = 0; i < in.n; i++)
      code[i] = select(zero, splat(0), toVec(clamp(nearestInt(chosen * x[i]), -levels, levels - 1) + levels));
    storeCodes(code.data(), in.n, count, codes + first * in.n);
  });
}

void quantc::search::q3s(const Cells &in, int levels, float *scale, float *codes) {
  std::vector<Vec> code(in.n);
  const Cells numbers{in.x, nullptr, in.cells, in.n};
  forBatches(numbers, [&](const Vec *x, const Vec *, size_t first, size_t count) {
    Vec m = signedAbsmax(x, in.n);
    const Ints zero = abs(m) < groupMaxEps;
    const Vec inverse = -static_cast<float>(levels) / select(zero, splat(1), m);
    Fit fit{splat(0), splat(0)};
    for (size_t i = 0; i < in.n; i++) {
      const Vec w = x[i] * x[i];
      code[i] = toVec(clamp(nearestInt(inverse * x[i]), -levels, levels - 1));
      fit.A += w * x[i] * code[i];
      fit.B += w * code[i] * code[i];
    }
    for (int sweep = 0; sweep < 5; sweep++) {
      Ints changed = {};
      for (size_t i = 0; i < in.n; i++) {
        const Vec w = x[i] * x[i];
        Vec a = fit.A - w * x[i] * code[i], b = fit.B - w * code[i] * code[i];
        const Vec l = toVec(clamp(nearestInt(x[i] * b / a), -levels, levels - 1));
        Ints accept = (a > 0.0f) & (l != code[i]);
        a += w * x[i] * l;
        b += w * l * l;
        accept &= (b > 0.0f) & (a * a * fit.B > fit.A * fit.A * b);
        code[i] = select(accept, l, code[i]);
        fit.A = select(accept, a, fit.A);
        fit.B = select(accept, b, fit.B);
        changed |= accept;
      }
      if (!any(changed))
        break;
    }
    store(select(zero, splat(0), ratio(fit.A, fit.B)), count, scale + first);
    if (!codes)
      return;
    for (size_t i = 0; i < in.n; i++)
      code[i] = select(zero, splat(0), code[i] + static_cast<float>(levels));
    storeCodes(code.data(), in.n, count, codes + first * in.n);
  });
}

/// A code as the byte that holds it.
static Ints byte(Ints code) {
  return code & 255;
}

void quantc::search::qp(const Cells &in, int levels, float *scale, float *codes) {
  const float N = static_cast<float>(levels);
  std::vector<Vec> code(in.n);
  auto atMost = [&](Ints l) { return clamp(l, INT32_MIN, levels); };
  forBatches(in, [&](const Vec *x, const Vec *w, size_t first, size_t count) {
    Vec m = splat(0);
    for (size_t i = 0; i < in.n; i++)
      m = max(m, x[i]);
    const Ints zero = m < groupMaxEps;
    m = select(zero, splat(1), m);
    // The first scale is judged by codes as they are stored: a code of -1 counts as 255.
    Vec chosen = N / m, error = splat(0), inverse = 1.0f / chosen;
    for (size_t i = 0; i < in.n; i++) {
      const Vec d = x[i] - inverse * toVec(byte(nearestInt(chosen * x[i])));
      error += w[i] * d * d;
    }
    for (int t = -4; t <= 4; t++) {
      if (t == 0)
        continue;
      const Vec tried = (0.1f * static_cast<float>(t) + N) / m;
      inverse = 1.0f / tried;
      Vec e = splat(0);
      for (size_t i = 0; i < in.n; i++) {
        const Vec d = x[i] - inverse * toVec(atMost(nearestInt(tried * x[i])));
        e += w[i] * d * d;
      }
      const Ints better = e < error;
      error = select(better, e, error);
      chosen = select(better, tried, chosen);
    }
    Fit fit{splat(0), splat(0)};
    for (size_t i = 0; i < in.n; i++) {
      const Ints l = atMost(nearestInt(chosen * x[i]));
      fit.A += w[i] * x[i] * toVec(l);
      fit.B += w[i] * toVec(l) * toVec(l);
      code[i] = toVec(byte(l));
    }
    for (int sweep = 0; sweep < 5; sweep++) {
      Ints changed = {};
      for (size_t i = 0; i < in.n; i++) {
        Vec a = fit.A - w[i] * x[i] * code[i], b = fit.B - w[i] * code[i] * code[i];
        const Ints l = atMost(nearestInt(x[i] * b / a));
        Ints accept = (a > 0.0f) & (b > 0.0f) & (toVec(l) != code[i]);
        a += w[i] * x[i] * toVec(l);
        b += w[i] * toVec(l) * toVec(l);
        accept &= a * a * fit.B > fit.A * fit.A * b;
        code[i] = select(accept, toVec(byte(l)), code[i]);
        fit.A = select(accept, a, fit.A);
        fit.B = select(accept, b, fit.B);
        changed |= accept;
      }
      if (!any(changed))
        break;
    }
    store(select(zero, splat(0), ratio(fit.A, fit.B)), count, scale + first);
    if (!codes)
      return;
    for (size_t i = 0; i < in.n; i++)
      code[i] = select(zero, splat(0), code[i]);
    storeCodes(code.data(), in.n, count, codes + first * in.n);
  });
}
