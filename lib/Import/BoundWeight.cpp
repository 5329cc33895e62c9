//===- BoundWeight.cpp - a weight whose fields lie in several tensors of a file ---------------------------------===//

#include "quantc/Import/BoundWeight.h"

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

Result<std::shared_ptr<const FieldValues>> BoundWeight::fields() const {
  std::lock_guard lock(cache->mutex);
  if (cache->of != this) {
    cache->fields.reset();
    cache->of = nullptr;
    QUANTC_ASSIGN(FieldValues read, binding->read(all, columns));
    cache->fields = std::make_shared<const FieldValues>(std::move(read));
    cache->of = this;
  }
  return cache->fields;
}
