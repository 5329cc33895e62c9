//===- BoundWeight.h - a weight whose fields lie in several tensors of a file -----------------------------------===//
#pragma once

#include "quantc/Format/Container.h"
#include <memory>
#include <mutex>
#include <span>

namespace quantc {

/// The fields that were read last: a model's weights are wanted one after the other, each by several threads, and all
/// at once would not fit into memory.
struct FieldCache {
  std::mutex mutex;
  const void *of = nullptr;
  std::shared_ptr<const FieldValues> fields;
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
  /// All fields of the weight: 8 bytes a cell. Fails where constants of the container differ.
  Result<std::shared_ptr<const FieldValues>> fields() const;

private:
  BoundWeight() = default;
  std::shared_ptr<const Binding> binding;
  std::vector<std::span<const std::byte>> all;
  std::vector<int64_t> columns;
  std::shared_ptr<FieldCache> cache;
};

} // namespace quantc
