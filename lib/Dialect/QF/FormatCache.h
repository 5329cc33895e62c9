//===- FormatCache.h - descriptions and storage behind types ----------------------------------------------------===//
#pragma once

#include "mlir/Support/LLVM.h"
#include "quantc/Format/KernelStorage.h"
#include "llvm/ADT/StringRef.h"
#include <map>
#include <memory>
#include <mutex>

namespace quantc::qf {

/// What types of one context refer to: formats of its catalog, and their kernel storage. Thread-safe.
class FormatCache {
public:
  void setCatalog(std::shared_ptr<Catalog> catalog);
  Result<std::shared_ptr<const Format>> format(llvm::StringRef spec);
  Result<std::shared_ptr<const KernelStorage>> kernelStorage(llvm::StringRef spec, unsigned rows);

private:
  /// Opens the catalog beside the program where none was set.
  Result<std::shared_ptr<Catalog>> openCatalog();

  std::mutex mutex;
  std::shared_ptr<Catalog> catalog;
  std::map<std::pair<std::string, unsigned>, std::shared_ptr<const KernelStorage>> storages;
};

} // namespace quantc::qf
