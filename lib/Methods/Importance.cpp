//===- Importance.cpp - scales and codes by the sizes of the inputs ---------------------------------------------===//

#include "quantc/Methods/Importance.h"
#include "LinearAlgebra.h"
#include "quantc/Encode/Encode.h"
#include "quantc/Support/Parallel.h"
#include <algorithm>
#include <cmath>
#include <numeric>
#include <ranges>

using namespace quantc;

/// This part of the mean of the Hessian's diagonal is added to it, so that few tokens are not learned by heart.
static constexpr double damping = 0.01;
/// Rows that are taken together, about.
static constexpr int64_t tileRows = 64;
static constexpr int sweeps = 2;

namespace {
/// Parts of a weight that have cells of their own in all fields: `rows` rows of `columns` columns.
struct Part {
  int64_t rows, columns;
};
} // namespace

/// The smallest, of one row where that is possible, otherwise of whole rows.
static Part partsOf(const Format &format, int64_t N, int64_t K) {
  const BlockShape block = format.block().value_or(BlockShape{1, 1, 0});
  Part part{block.rows, block.columns};
  for (const Field &f : format.fields()) {
    const bool crossesRows = (f.rows == 0 && !f.inside) || (f.flat && K % f.columns != 0);
    part.rows = crossesRows ? N : std::lcm(part.rows, std::max<int64_t>(1, f.rows));
    part.columns = f.columns ? std::lcm(part.columns, f.columns) : K;
  }
  return {std::min(part.rows, N), part.rows > 1 ? K : std::min(part.columns, K)};
}

namespace {
/// What one clause makes of the rows of a tile.
struct Candidate {
  FieldValues fields;
  std::vector<float> error; ///< values minus weights
};

/// Some rows of a weight, of which each part takes the best candidate.
class Tile {
public:
  Tile(const Format &format, std::span<const float> w, int64_t rows, int64_t K, std::span<const float> hessian,
       float added)
      : format(format), w(w), rows(rows), K(K), hessian(hessian), added(added), part(partsOf(format, rows, K)) {}

  Status add(std::span<const float> importance);
  FieldValues best();

private:
  void choose(int64_t k, int64_t columns);
  void take(const Candidate &candidate, int64_t row, int64_t k, int64_t columns);

  const Format &format;
  const std::span<const float> w;
  const int64_t rows, K;
  const std::span<const float> hessian;
  const float added; ///< to the diagonal
  const Part part;
  std::vector<Candidate> candidates;
  Candidate chosen;
};
} // namespace

Status Tile::add(std::span<const float> importance) {
  Candidate &candidate = candidates.emplace_back();
  QUANTC_ASSIGN(candidate.fields, encode(format, w, rows, K, importance));
  candidate.error.resize(w.size());
  QUANTC_TRY(decode(format, candidate.fields, rows, K, candidate.error.data()));
  for (size_t i = 0; i < w.size(); i++)
    candidate.error[i] -= w[i];
  return {};
}

void Tile::take(const Candidate &candidate, int64_t row, int64_t k, int64_t columns) {
  const int64_t end = std::min(row + part.rows, rows);
  for (int64_t r = row; r < end; r++)
    std::copy_n(&candidate.error[r * K + k], columns, &chosen.error[r * K + k]);
  // The cells of a part lie together.
  for (const Field &f : format.fields()) {
    const auto first = static_cast<size_t>(cellIndex(format, f, row, k, rows, K));
    const auto last = static_cast<size_t>(cellIndex(format, f, end - 1, k + columns - 1, rows, K) + f.arraySize());
    std::copy_n(candidate.fields[f.index].begin() + first, last - first, chosen.fields[f.index].begin() + first);
  }
}

/// Of columns [k, k + columns), what lowers the error of the outputs most, all other columns being as they are.
void Tile::choose(int64_t k, int64_t columns) {
  std::vector<float> gradient(rows * columns), step(gradient.size()), moved(gradient.size());
  linear::multiply(gradient.data(), chosen.error.data(), K, hessian.data() + k, K, rows, columns, K);
  const int64_t groups = (rows + part.rows - 1) / part.rows;
  std::vector<double> least(groups);
  std::vector<const Candidate *> better(groups);
  for (const Candidate &candidate : candidates) {
    for (int64_t i = 0; i < rows * columns; i++) {
      const int64_t at = i / columns * K + k + i % columns;
      step[i] = candidate.error[at] - chosen.error[at];
    }
    linear::multiply(moved.data(), step.data(), columns, &hessian[k * K + k], K, rows, columns, columns);
    std::vector<double> change(groups);
    for (int64_t i = 0; i < rows * columns; i++) {
      const int64_t at = i / columns * K + k + i % columns;
      change[i / columns / part.rows] +=
          double(step[i]) * (2 * double(gradient[i]) + moved[i] + added * (2 * double(chosen.error[at]) + step[i]));
    }
    for (int64_t g = 0; g < groups; g++)
      if (change[g] < least[g]) {
        least[g] = change[g];
        better[g] = &candidate;
      }
  }
  for (int64_t g = 0; g < groups; g++)
    if (better[g])
      take(*better[g], g * part.rows, k, columns);
}

FieldValues Tile::best() {
  chosen = candidates.front();
  choose(0, K);
  for (int sweep = 0; sweep < sweeps; sweep++)
    for (int64_t k = 0; k < K; k += part.columns)
      choose(k, std::min(part.columns, K - k));
  return std::move(chosen.fields);
}

Result<FieldValues> quantc::encodeByImportance(const Format &format, std::span<const float> w, int64_t N, int64_t K,
                                               const InputStatistics &statistics, unsigned threads) {
  if (statistics.hessian.empty() || !format.encode("imatrix"))
    return encode(format, w, N, K, statistics.meanSquare, threads);
  QUANTC_TRY(checkHessian(statistics));
  if (N < 1 || statistics.K != K || static_cast<int64_t>(w.size()) != N * K)
    return fail("a weight of {} x {} with {} numbers does not fit statistics of {} features", N, K, w.size(),
                statistics.K);
  std::vector<std::vector<float>> importances(format.encode("") ? 1 : 0);
  for (const double power : {1.0, 0.5, 0.0})
    for (std::vector<float> &importance = importances.emplace_back(); int64_t k : std::views::iota(int64_t(0), K))
      importance.push_back(static_cast<float>(std::pow(double(statistics.hessian[k * (K + 1)]), power)));
  double trace = 0;
  for (int64_t k = 0; k < K; k++)
    trace += statistics.hessian[k * (K + 1)];
  const auto added = static_cast<float>(damping * trace / static_cast<double>(K));

  FieldValues all = zeroFields(format, N, K);
  const int64_t own = partsOf(format, N, K).rows;
  const int64_t step = std::min(N, (tileRows + own - 1) / own * own);
  std::vector<Status> results((N + step - 1) / step);
  parallelFor(results.size(), threads, [&](size_t i) {
    results[i] = [&]() -> Status {
      const int64_t row = int64_t(i) * step, rows = std::min(step, N - row);
      Tile tile(format, w.subspan(row * K, rows * K), rows, K, statistics.hessian, added);
      for (const std::vector<float> &importance : importances)
        QUANTC_TRY(tile.add(importance));
      const FieldValues best = tile.best();
      for (const Field &f : format.fields())
        std::ranges::copy(best[f.index], all[f.index].begin() + cellIndex(format, f, row, 0, N, K));
      return {};
    }();
  });
  for (const Status &result : results)
    QUANTC_TRY(result);
  return all;
}
