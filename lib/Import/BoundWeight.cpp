//===- BoundWeight.cpp - a weight whose fields lie in several tensors of a file ---------------------------------===//

#include "quantc/Import/BoundWeight.h"
#include <algorithm>

using namespace quantc;

Result<std::shared_ptr<const BoundWeight>> BoundWeight::create(std::shared_ptr<const Binding> binding,
                                                               std::vector<std::span<const std::byte>> parts,
                                                               std::shared_ptr<FieldCache> cache) {
  std::shared_ptr<BoundWeight> weight(new BoundWeight());
  QUANTC_ASSIGN(weight->columns, binding->columnOrder(parts));
  weight->binding = std::move(binding);
  weight->all = std::move(parts);
  weight->cache = std::move(cache);
  return weight;
}

/// Numbers whose fields are read from the file at a time, eight bytes each or more.
static constexpr int64_t windowNumbers = 1 << 23;

int64_t BoundWeight::rowUnit() const {
  const auto [N, K] = binding->shape();
  return cellRowUnit(*binding->boundFormat(), N, K);
}

/// Rows that are read from the file together: cells of the whole tensor are the same in all of them, and of the others
/// they have whole bytes.
static int64_t windowOf(int64_t unit, int64_t N, int64_t K) {
  return std::min(N, std::max<int64_t>(1, windowNumbers / K / (8 * unit)) * 8 * unit);
}

uint64_t BoundWeight::memory() const {
  const auto [N, K] = binding->shape();
  const int64_t unit = rowUnit();
  if (unit == N)
    return static_cast<uint64_t>(N * K) * sizeof(uint64_t);
  return packedFieldBytes(*binding->boundFormat(), N, K) +
         static_cast<uint64_t>(windowOf(unit, N, K) * K) * sizeof(uint64_t);
}

/// Into the cache, which is locked.
Status BoundWeight::load() const {
  cache->of = nullptr;
  cache->packed = nullptr;
  cache->fields = nullptr;
  const auto [N, K] = binding->shape();
  const Format &format = *binding->boundFormat();
  if (rowUnit() == N) {
    QUANTC_ASSIGN(FieldValues read, binding->read(all, columns));
    cache->fields = std::make_shared<const FieldValues>(std::move(read));
  } else {
    auto packed = std::make_shared<std::vector<std::byte>>(packedFieldBytes(format, N, K));
    const int64_t window = windowOf(rowUnit(), N, K);
    for (int64_t row = 0; row < N; row += window) {
      const int64_t rows = std::min(window, N - row);
      QUANTC_ASSIGN(const FieldValues read, binding->readRows(all, columns, row, rows));
      packRows(format, N, K, row, rows, read, *packed);
    }
    cache->packed = std::move(packed);
  }
  cache->of = this;
  return {};
}

Result<BoundRows> BoundWeight::fields(int64_t row, int64_t rows) const {
  std::shared_ptr<const std::vector<std::byte>> packed;
  const auto [N, K] = binding->shape();
  {
    std::lock_guard lock(cache->mutex);
    if (cache->of != this)
      QUANTC_TRY(load());
    if (cache->fields)
      return BoundRows{cache->fields, 0, N};
    packed = cache->packed;
  }
  const int64_t unit = rowUnit(), first = row / unit * unit, end = std::min(N, (row + rows + unit - 1) / unit * unit);
  FieldValues found = unpackRows(*binding->boundFormat(), N, K, first, end - first, *packed);
  return BoundRows{std::make_shared<const FieldValues>(std::move(found)), first, end - first};
}
