//===- EncodeRows.cpp - tensors encoded slab by slab ------------------------------------------------------------===//

#include "EncodeRows.h"
#include "quantc/Format/Layout.h"
#include <algorithm>
#include <map>
#include <mutex>

using namespace quantc;

/// Rows that are encoded before they are written.
static constexpr int64_t slabBytes = 64 << 20;

Result<WeightError> quantc::encodeRows(const Format &format, const EncodeSource &source, unsigned threads,
                                       const std::function<Status(std::span<const std::byte>)> &append) {
  const int64_t N = source.N, K = source.K;
  QUANTC_TRY(format.checkShape(N, K));
  QUANTC_ASSIGN(BlockLayout layout, BlockLayout::create(format));
  const int64_t blocks = K / format.block()->columns, rowBytes = blocks * format.block()->bytes;
  const int64_t slab = std::max<int64_t>(1, slabBytes / (K * static_cast<int64_t>(sizeof(float))));
  std::mutex mutex;
  std::map<int64_t, WeightError> errors; // by the first row of a tile: tiles come in any order
  std::vector<std::byte> bytes;
  for (int64_t first = 0; first < N; first += slab) {
    const int64_t count = std::min(slab, N - first);
    bytes.resize(static_cast<size_t>(count * rowBytes));
    auto read = [&](int64_t row, int64_t rows, float *out) { return source.read(first + row, rows, out); };
    auto sink = [&](const EncodedTile &tile) -> Status {
      layout.store(tile.fields, 0, tile.rows * blocks, bytes.data() + tile.row * rowBytes);
      std::vector<float> x(static_cast<size_t>(tile.rows * K)), y(x.size());
      QUANTC_TRY(read(tile.row, tile.rows, x.data()));
      QUANTC_TRY(decode(format, tile.fields, tile.rows, K, y.data()));
      const WeightError error = WeightError::of(x, y);
      std::lock_guard lock(mutex);
      errors[first + tile.row] = error;
      return {};
    };
    const Status status = encode(format, {.N = count, .K = K, .read = read, .importance = {}}, sink, threads);
    if (!status && first)
      return failAt(fmt::format("rows from {} on", first), status.error());
    QUANTC_TRY(status);
    QUANTC_TRY(append(bytes));
  }
  WeightError all;
  for (const auto &[row, error] : errors)
    all += error;
  return all;
}
