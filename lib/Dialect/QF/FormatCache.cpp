//===- FormatCache.cpp - descriptions and storage behind types --------------------------------------------------===//

#include "FormatCache.h"
#include "quantc/Support/Files.h"

using namespace quantc;
using namespace quantc::qf;
using llvm::StringRef;

void FormatCache::setCatalog(std::shared_ptr<Catalog> newCatalog) {
  std::lock_guard lock(mutex);
  catalog = std::move(newCatalog);
  storages.clear();
}

Result<std::shared_ptr<Catalog>> FormatCache::openCatalog() {
  std::lock_guard lock(mutex);
  if (!catalog) {
    QUANTC_ASSIGN(std::filesystem::path data, dataDirectory());
    QUANTC_ASSIGN(catalog, Catalog::open(data));
  }
  return catalog;
}

Result<std::shared_ptr<const Format>> FormatCache::format(StringRef spec) {
  QUANTC_ASSIGN(std::shared_ptr<Catalog> formats, openCatalog());
  return formats->format(spec.str());
}

Result<std::shared_ptr<const KernelStorage>> FormatCache::kernelStorage(StringRef spec, unsigned rows) {
  QUANTC_ASSIGN(std::shared_ptr<const Format> format, this->format(spec));
  std::lock_guard lock(mutex);
  std::shared_ptr<const KernelStorage> &storage = storages[{spec.str(), rows}];
  if (!storage) {
    StorageRule rule;
    rule.rows = rows;
    QUANTC_ASSIGN(KernelStorage derived, KernelStorage::derive(format, rule));
    storage = std::make_shared<const KernelStorage>(std::move(derived));
  }
  return storage;
}
