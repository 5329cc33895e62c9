//===- Encode.cpp - a weight tile by tile, in as many passes as its clause needs --------------------------------===//

#include "quantc/Encode/Encode.h"
#include "TileEncoder.h"
#include "quantc/Support/Parallel.h"
#include <algorithm>
#include <atomic>

using namespace quantc;

Result<EncodePlan> quantc::planEncode(const Format &format, int64_t N, int64_t K, bool importance) {
  QUANTC_ASSIGN(const Clause clause, Clause::compile(format, N, K, importance));
  return EncodePlan{clause.tileRows, clause.passes};
}

static Status checkImportance(std::span<const float> importance, int64_t K) {
  if (importance.empty())
    return {};
  if (static_cast<int64_t>(importance.size()) != K)
    return fail("the importance matrix has {} columns, the weight has {}", importance.size(), K);
  for (size_t k = 0; k < importance.size(); k++)
    if (!(importance[k] >= 0 && std::isfinite(importance[k])))
      return fail("column {}: the importance is {}", k, importance[k]);
  return {};
}

static Status checkWeights(std::span<const float> x, int64_t row, int64_t K) {
  for (size_t i = 0; i < x.size(); i++)
    if (!std::isfinite(x[i]))
      return fail("row {}, column {}: the weight is {}", row + int64_t(i) / K, int64_t(i) % K, x[i]);
  return {};
}

/// Calls body(tile, row, rows, x) with the numbers of each tile, which are finite. The error is that of the first tile
/// with one, whatever the threads.
template <typename Body>
static Status forTiles(const EncodeSource &source, int64_t tileRows, unsigned threads, Body body) {
  const auto tiles = static_cast<size_t>((source.N + tileRows - 1) / tileRows);
  std::atomic<size_t> firstBad = tiles;
  std::vector<std::optional<Error>> errors(tiles);
  parallelFor(tiles, threads, [&](size_t tile) {
    if (tile > firstBad)
      return;
    auto one = [&]() -> Status {
      const int64_t row = int64_t(tile) * tileRows, rows = std::min(tileRows, source.N - row);
      std::vector<float> x(static_cast<size_t>(rows * source.K));
      QUANTC_TRY(source.read(row, rows, x.data()));
      QUANTC_TRY(checkWeights(x, row, source.K));
      return body(tile, row, rows, std::move(x));
    };
    if (auto status = one(); !status) {
      errors[tile] = status.error();
      size_t bad = firstBad;
      while (tile < bad && !firstBad.compare_exchange_weak(bad, tile)) {
      }
    }
  });
  if (firstBad < tiles)
    return tl::unexpected<Error>(*errors[firstBad]);
  return {};
}

Status quantc::checkNumbers(const EncodeSource &source, unsigned threads) {
  constexpr int64_t numbersOfTile = 1 << 16;
  const int64_t tileRows = std::max<int64_t>(1, numbersOfTile / source.K);
  return forTiles(source, tileRows, threads, [](size_t, int64_t, int64_t, std::vector<float> &&) { return Status(); });
}

namespace {
/// One weight being encoded.
class Encoding {
public:
  Encoding(const Clause &clause, const EncodeSource &source, unsigned threads)
      : clause(clause), source(source), threads(threads) {
    for (const Field &f : clause.format->fields())
      rounding.emplace_back(f);
  }
  Status aggregate(unsigned pass);
  Status encode(const EncodeSink &sink);

private:
  /// Calls body(tile, encoder, row, rows) for each tile.
  template <typename Body> Status forTiles(Body body);
  size_t tiles() const { return static_cast<size_t>((clause.N + clause.tileRows - 1) / clause.tileRows); }

  const Clause &clause;
  const EncodeSource &source;
  const unsigned threads;
  std::vector<FieldRounding> rounding;
  RowsResults known;
};
} // namespace

template <typename Body> Status Encoding::forTiles(Body body) {
  return ::forTiles(
      source, clause.tileRows, threads, [&](size_t tile, int64_t row, int64_t rows, std::vector<float> &&x) {
        return body(tile, TileEncoder(clause, rounding, row, rows, std::move(x), source.importance), row, rows);
      });
}

Status Encoding::aggregate(unsigned pass) {
  std::vector<TileAggregates> byTile(tiles());
  QUANTC_TRY(forTiles([&](size_t tile, TileEncoder &&encoder, int64_t, int64_t) -> Status {
    QUANTC_ASSIGN(byTile[tile], encoder.aggregate(pass, known));
    return {};
  }));
  const Region region{clause.tileRows, clause.K};
  Environment names;
  for (size_t s = 0; s < clause.steps.size(); s++) {
    const ClauseStep &step = clause.steps[s];
    if (!step.overAllRows())
      continue;
    if (step.pass < pass) {
      names[step.results.front().name] = known.at(s);
      continue;
    }
    if (step.pass > pass)
      continue;
    Evaluator evaluator(*clause.format, region, clause.integers, names);
    std::vector<const Expr *> calls;
    collectAggregates(*step.source->value, calls);
    for (const Expr *call : calls) {
      const Aggregate kind = *aggregateNamed(call->name);
      PartialAggregate total;
      for (const TileAggregates &tile : byTile)
        total.append(tile.at(call), kind);
      evaluator.aggregates[call] = total.finish(kind, step.scope);
    }
    QUANTC_ASSIGN(known[s], evaluator.evaluate(*step.source->value, step.scope));
  }
  return {};
}

Status Encoding::encode(const EncodeSink &sink) {
  return forTiles([&](size_t, TileEncoder &&encoder, int64_t row, int64_t rows) -> Status {
    QUANTC_ASSIGN(FieldValues fields, encoder.encode(known));
    return sink(EncodedTile{row, rows, std::move(fields)});
  });
}

Status quantc::encode(const Format &format, const EncodeSource &source, const EncodeSink &sink, unsigned threads) {
  QUANTC_ASSIGN(const Clause clause, Clause::compile(format, source.N, source.K, !source.importance.empty()));
  QUANTC_TRY(checkImportance(source.importance, source.K));
  Encoding encoding(clause, source, threads);
  for (unsigned pass = 0; pass + 1 < clause.passes; pass++)
    QUANTC_TRY(encoding.aggregate(pass));
  return encoding.encode(sink);
}

Result<FieldValues> quantc::encode(const Format &format, const EncodeSource &source, unsigned threads) {
  FieldValues whole = zeroFields(format, source.N, source.K);
  auto sink = [&](const EncodedTile &tile) -> Status {
    // Cells of a tile lie together; those of all rows are the same in each tile.
    for (const Field &f : format.fields()) {
      const std::vector<uint64_t> &from = tile.fields[f.index];
      const bool shared = Scope::of(f).crossesTiles();
      if (!shared || tile.row == 0)
        std::ranges::copy(from, whole[f.index].begin() +
                                    (shared ? 0 : cellIndex(format, f, tile.row, 0, source.N, source.K)));
    }
    return {};
  };
  QUANTC_TRY(encode(format, source, sink, threads));
  return whole;
}

Result<FieldValues> quantc::encode(const Format &format, std::span<const float> x, int64_t N, int64_t K,
                                   std::span<const float> importance, unsigned threads) {
  if (N < 1 || K < 1 || static_cast<int64_t>(x.size()) / K != N || x.size() % static_cast<size_t>(K) != 0)
    return fail("a weight of {} x {} does not have {} numbers", N, K, x.size());
  const EncodeSource source{N, K,
                            [&](int64_t row, int64_t rows, float *out) -> Status {
                              std::copy_n(x.data() + row * K, rows * K, out);
                              return {};
                            },
                            importance};
  return encode(format, source, threads);
}
