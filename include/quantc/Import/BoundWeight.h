//===- BoundWeight.h - a weight whose fields lie in several tensors of a file -----------------------------------===//
#pragma once

#include "quantc/Format/Container.h"
#include "quantc/Format/PackedFields.h"
#include <memory>
#include <mutex>
#include <span>

namespace quantc {

/// The fields of some rows of a weight.
struct BoundRows {
  std::shared_ptr<const FieldValues> fields;
  int64_t row, rows;
};

/// The weight that was read last: a model's weights are wanted one after the other, each by several threads, and all at
/// once would not fit into memory.
struct FieldCache {
  std::mutex mutex;
  const void *of = nullptr;
  std::shared_ptr<const std::vector<std::byte>> packed; ///< its fields, as few bits as they need
  std::shared_ptr<const FieldValues> fields;            ///< in place of that where no rows can be taken alone
};

/// Immutable but for what the cache remembers.
class BoundWeight {
public:
  /// `parts` in the order of the binding's tensors, no bytes for one that the file does without. Fails where their
  /// sizes are wrong, or their groups of columns.
  static Result<std::shared_ptr<const BoundWeight>> create(std::shared_ptr<const Binding> binding,
                                                           std::vector<std::span<const std::byte>> parts,
                                                           std::shared_ptr<FieldCache> cache);

  /// Which column of the file is the j-th of the fields; empty: the j-th.
  const std::vector<int64_t> &order() const { return columns; }
  const std::vector<std::span<const std::byte>> &parts() const { return all; }
  /// Fails where constants of the container differ; reads little else.
  Status checkConstants() const { return binding->checkConstants(all); }
  /// Private memory that reading it takes, beside the fields that are asked for.
  uint64_t memory() const;
  /// Whole cells are in each multiple of so many rows.
  int64_t rowUnit() const;
  /// The fields of the smallest range that holds rows [row, row + rows) and begins and ends where cells do: 8 bytes a
  /// cell. Fails where constants of the container differ.
  Result<BoundRows> fields(int64_t row, int64_t rows) const;

private:
  BoundWeight() = default;
  Status load() const;
  std::shared_ptr<const Binding> binding;
  std::vector<std::span<const std::byte>> all;
  std::vector<int64_t> columns;
  std::shared_ptr<FieldCache> cache;
};

} // namespace quantc
