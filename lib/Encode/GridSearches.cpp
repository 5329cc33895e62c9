//===- GridSearches.cpp - groups of codes on the points of a grid -----------------------------------------------===//

#include "PointFunctions.h"
#include "quantc/Encode/Searches.h"
#include <algorithm>
#include <array>
#include <cfloat>
#include <numeric>
#include <optional>

using namespace quantc;
using namespace quantc::search;

namespace {
struct Fit {
  float A = 0, B = 0; ///< sum w v q, sum w q q
};
using Digits = std::vector<uint8_t>;

/// One cell of gridSearch.
class GridCell {
public:
  GridCell(const Grid &grid, const GridConstants &k, size_t n) : grid(grid), k(k), v(n), w(n), root(n), negative(n) {}

  void load(const float *x, const float *weights) {
    for (size_t i = 0; i < v.size(); i++) {
      negative[i] = x[i] < 0;
      v[i] = std::fabs(x[i]);
      w[i] = weights[i];
      root[i] = std::sqrt(w[i]);
    }
    for (size_t first = 0; k.parity && first < v.size(); first += 8) {
      if (std::count(negative.begin() + long(first), negative.begin() + long(first) + 8, 1) % 2 == 0)
        continue;
      // The sign that matters least is flipped.
      size_t flipped = first;
      for (size_t i = first; i < first + 8; i++)
        if (w[i] * x[i] * x[i] < w[flipped] * x[flipped] * x[flipped])
          flipped = i;
      negative[flipped] ^= 1;
      v[flipped] = -v[flipped];
    }
  }

  /// Codes and scale; the scale is 0 for a cell that is zero.
  float search(Digits &best) {
    const size_t groups = v.size() / grid.dimension();
    const int top = static_cast<int>(grid.levels()) - 1;
    const float largest = *std::ranges::max_element(v);
    best.assign(v.size(), 0);
    float scale = largest / static_cast<float>(2 * top + 1), reach = largest;
    if (k.seeded) {
      std::vector<float> seeds(v.size());
      qp({v.data(), w.data(), 1, v.size()}, top + 2, &scale, seeds.data());
      reach = static_cast<float>(top + 1) * scale;
      std::ranges::transform(seeds, best.begin(),
                             [&](float code) { return static_cast<uint8_t>(std::min(code, float(top))); });
    }
    if (largest <= 0 || largest < k.zero || reach <= 0)
      return 0;

    std::vector<char> off(groups, k.resnap == Resnap::Any), triedOff(groups);
    Digits tried(v.size());
    float quality = 0;
    for (int t = -k.tries; t <= k.tries; t++) {
      const float inverse = (k.start + k.step * static_cast<float>(t)) / reach;
      for (size_t g = 0; g < groups; g++)
        triedOff[g] = codeGroup(g, inverse, 1.0f / inverse, tried);
      const Fit fit = fitOf(tried);
      if (fit.B > 0 && fit.A * fit.A > quality * fit.B) {
        scale = fit.A / fit.B;
        quality = scale * fit.A;
        best = tried;
        off = triedOff;
      }
    }

    const bool anyOff = std::ranges::count(off, 1) > 0;
    if (k.resnap == Resnap::Always || (k.resnap == Resnap::Any && anyOff))
      std::ranges::fill(off, 1);
    if (std::ranges::count(off, 1) > 0 && scale > 0) {
      const float inverse = 1.0f / scale;
      for (size_t g = 0; g < groups; g++)
        if (off[g])
          codeGroup(g, inverse, scale, best);
      const Fit fit = fitOf(best);
      if (fit.B > 0)
        scale = fit.A / fit.B;
    }
    return scale;
  }

  bool isNegative(size_t i) const { return negative[i] != 0; }

private:
  /// Rounds a group of numbers to digits; where these are no point of the grid, to the candidate with the least error.
  bool codeGroup(size_t group, float inverse, float scale, Digits &out) const {
    const size_t dimension = grid.dimension(), first = group * dimension;
    const float top = static_cast<float>(grid.levels() - 1);
    uint8_t *digits = out.data() + first;
    for (size_t i = 0; i < dimension; i++)
      digits[i] = static_cast<uint8_t>(clampTo(roundEven(0.5f * (inverse * v[first + i] - 1.0f)), 0.0f, top));
    if (grid.indexOf(digits) >= 0)
      return false;
    float least = INFINITY;
    const uint8_t *nearest = nullptr;
    for (uint16_t candidate : grid.candidates(digits)) {
      const uint8_t *point = grid.point(candidate);
      float cost = 0;
      for (size_t i = 0; i < dimension; i++) {
        const float d = scale * static_cast<float>(2 * point[i] + 1) - v[first + i];
        cost += root[first + i] * d * d;
      }
      if (cost < least || !nearest) {
        least = cost;
        nearest = point;
      }
    }
    std::copy_n(nearest, dimension, digits);
    return true;
  }

  Fit fitOf(const Digits &digits) const {
    Fit fit;
    for (size_t i = 0; i < v.size(); i++) {
      const float q = static_cast<float>(2 * digits[i] + 1);
      fit.A += w[i] * v[i] * q;
      fit.B += w[i] * q * q;
    }
    return fit;
  }

  const Grid &grid;
  const GridConstants &k;
  std::vector<float> v, w, root;
  std::vector<char> negative;
};
} // namespace

void search::gridSearch(const Cells &in, const Grid &grid, const GridConstants &k, float *scale, float *index,
                        float *signs) {
  const size_t dimension = grid.dimension(), groups = in.n / dimension;
  GridCell cell(grid, k, in.n);
  Digits digits;
  for (size_t c = 0; c < in.cells; c++) {
    cell.load(in.x + c * in.n, in.w + c * in.n);
    scale[c] = cell.search(digits);
    const bool zero = scale[c] == 0;
    for (size_t g = 0; g < groups; g++)
      index[c * groups + g] =
          zero ? 0.0f : static_cast<float>(std::max(grid.indexOf(digits.data() + g * dimension), 0));
    auto sign = [&](size_t i) { return !zero && cell.isNegative(i); };
    for (size_t i = 0; !k.parity && i < in.n; i++)
      signs[c * in.n + i] = sign(i) ? 1.0f : 0.0f;
    for (size_t first = 0; k.parity && first < in.n; first += 8) {
      int bits = 0;
      for (size_t i = 0; i < 7; i++)
        bits |= sign(first + i) << i;
      signs[(c * in.n + first) / 8] = static_cast<float>(bits);
    }
  }
}

namespace {
using Levels = std::array<float, 3>;

/// One cell of segmentSearch.
class SegmentCell {
public:
  SegmentCell(const Grid &grid, const SegmentConstants &k, size_t n)
      : grid(grid), k(k), n(n), up{-1 + k.delta, k.delta, 1 + k.delta}, down{-1 - k.delta, -k.delta, 1 - k.delta},
        order(n), digits(n) {}

  struct Found {
    float scale = 0;
    std::array<bool, 2> down{};
  };
  /// Leaves the digits in `digits`. Nothing: all weights of the errors are 0.
  std::optional<Found> search(const float *x, const float *w) {
    std::iota(order.begin(), order.end(), 0);
    std::ranges::sort(order, {}, [&](size_t i) { return std::pair(x[i], i); });
    const std::optional<Found> best = cut(x, w);
    if (!best)
      return std::nullopt;
    Found found = *best;
    if (found.scale < 0) {
      for (uint8_t &d : digits)
        d = static_cast<uint8_t>(2 - d);
      found = {-found.scale, {!found.down[0], !found.down[1]}};
    }
    bool anyOff = false;
    for (size_t first = 0; first < n; first += grid.dimension())
      anyOff |= snap(found, first, x, w);
    if (anyOff) {
      float A = 0, B = 0;
      for (size_t i = 0; i < n; i++) {
        const float q = levelsAt(found, i)[digits[i]];
        A += w[i] * q * x[i];
        B += w[i] * q * q;
      }
      if (A > 0 && B > 0)
        found.scale = A / B;
    }
    return found;
  }

  const Grid &grid;
  const SegmentConstants &k;
  const size_t n;
  const Levels up, down;
  std::vector<size_t> order;
  Digits digits;

private:
  std::array<std::vector<float>, 2> sumX, sumW;

  const Levels &levelsAt(const Found &found, size_t i) const {
    return found.down[k.halves == 2 && i >= n / 2] ? down : up;
  }

  /// Sums of w x and w of the first j sorted numbers, of each half by itself (one half: all in the first).
  void sumUp(const float *x, const float *w) {
    for (auto &sums : sumX)
      sums.assign(n + 1, 0);
    for (auto &sums : sumW)
      sums.assign(n + 1, 0);
    for (size_t j = 0; j < n; j++) {
      const size_t i = order[j], half = k.halves == 2 && i >= n / 2;
      sumX[half][j + 1] = sumX[half][j] + w[i] * x[i];
      sumW[half][j + 1] = sumW[half][j] + w[i];
      sumX[1 - half][j + 1] = sumX[1 - half][j];
      sumW[1 - half][j + 1] = sumW[1 - half][j];
    }
  }

  /// Sums of the fit for cuts before i1 and i2. One half: segment by segment.
  Fit fitWhole(size_t i1, size_t i2, const Levels &l) const {
    const std::vector<float> &px = sumX[0], &pw = sumW[0];
    return {(px[i1] - px[0]) * l[0] + (px[i2] - px[i1]) * l[1] + (px[n] - px[i2]) * l[2],
            (pw[i1] - pw[0]) * l[0] * l[0] + (pw[i2] - pw[i1]) * l[1] * l[1] + (pw[n] - pw[i2]) * l[2] * l[2]};
  }
  /// Two halves: from the total, as neighbouring levels differ by 1.
  Fit fitHalf(size_t half, size_t i1, size_t i2, const Levels &l) const {
    const std::vector<float> &px = sumX[half], &pw = sumW[half];
    return {px[n] * l[2] - (px[i1] + px[i2]),
            pw[n] * l[2] * l[2] + pw[i1] * (l[0] * l[0] - l[1] * l[1]) + pw[i2] * (l[1] * l[1] - l[2] * l[2])};
  }

  /// The best scale, shifts, and cuts of the sorted numbers in three segments; nothing where no scale is better than
  /// none.
  std::optional<Found> cut(const float *x, const float *w) {
    sumUp(x, w);
    std::optional<Found> best;
    float quality = -FLT_MAX;
    size_t best1 = 0, best2 = 0;
    auto offer = [&](size_t i1, size_t i2, const Fit &fit, bool firstDown, bool secondDown) {
      if (!(fit.B > 0 && fit.A * fit.A > quality * fit.B))
        return;
      best = Found{fit.A / fit.B, {firstDown, secondDown}};
      quality = best->scale * fit.A;
      best1 = i1;
      best2 = i2;
    };
    for (size_t i1 = 0; i1 <= n; i1++)
      for (size_t i2 = i1; i2 <= n; i2++) {
        if (k.halves == 1) {
          offer(i1, i2, fitWhole(i1, i2, up), false, false);
          offer(i1, i2, fitWhole(i1, i2, down), true, true);
          continue;
        }
        const Fit first[] = {fitHalf(0, i1, i2, up), fitHalf(0, i1, i2, down)};
        const Fit second[] = {fitHalf(1, i1, i2, up), fitHalf(1, i1, i2, down)};
        for (bool f : {false, true})
          for (bool s : {false, true})
            offer(i1, i2, {first[f].A + second[s].A, first[f].B + second[s].B}, f, s);
      }
    for (size_t j = 0; j < n; j++)
      digits[order[j]] = static_cast<uint8_t>(j < best1 ? 0 : j < best2 ? 1 : 2);
    return best;
  }

  bool snap(const Found &found, size_t first, const float *x, const float *w) {
    uint8_t *group = digits.data() + first;
    if (grid.indexOf(group) >= 0)
      return false;
    const Levels &levels = levelsAt(found, first);
    float least = INFINITY;
    const uint8_t *nearest = nullptr;
    for (uint16_t candidate : grid.candidates(group)) {
      const uint8_t *point = grid.point(candidate);
      float cost = 0;
      for (size_t i = 0; i < grid.dimension(); i++) {
        const float d = found.scale * levels[point[i]] - x[first + i];
        cost += w[first + i] * d * d;
      }
      if (cost < least || !nearest) {
        least = cost;
        nearest = point;
      }
    }
    std::copy_n(nearest, grid.dimension(), group);
    return true;
  }
};
} // namespace

void search::segmentSearch(const Cells &in, const Grid &grid, const SegmentConstants &k, float *scale, float *index,
                           float *shift) {
  const size_t dimension = grid.dimension(), groups = in.n / dimension, halves = static_cast<size_t>(k.halves);
  SegmentCell cell(grid, k, in.n);
  for (size_t c = 0; c < in.cells; c++) {
    const float *x = in.x + c * in.n;
    const bool tiny = std::ranges::all_of(std::span(x, in.n), [&](float v) { return std::fabs(v) < k.zero; });
    const auto best = tiny ? std::nullopt : cell.search(x, in.w + c * in.n);
    const SegmentCell::Found found = best.value_or(SegmentCell::Found{});
    scale[c] = found.scale;
    for (size_t g = 0; g < groups; g++)
      index[c * groups + g] =
          !best ? 0.0f : static_cast<float>(std::max(grid.indexOf(cell.digits.data() + g * dimension), 0));
    for (size_t h = 0; h < halves; h++)
      shift[c * halves + h] = found.down[h] ? 1.0f : 0.0f;
  }
}
