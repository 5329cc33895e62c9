//===- ImatrixSource.cpp - statistics out of importance matrices of llama.cpp -----------------------------------===//

#include "ImatrixSource.h"

using namespace quantc;

Result<std::unique_ptr<ImatrixSource>> ImatrixSource::open(const std::filesystem::path &path) {
  QUANTC_ASSIGN(Imatrix matrix, Imatrix::open(path));
  return std::unique_ptr<ImatrixSource>(new ImatrixSource(path, std::move(matrix)));
}

Result<std::shared_ptr<const InputStatistics>> ImatrixSource::of(const std::string &observer, bool hessian) {
  if (hessian)
    return fail("{}: an importance matrix has no products of features; name a text by --calib", path.string());
  const ImatrixEntry *entry = matrix.find(observer + ".weight");
  if (!entry)
    return fail("{}: has no entry for {}.weight; make it with the same model", path.string(), observer);
  if (entry->matrices() != 1)
    return fail("{}: the entry for {}.weight is one of {} experts", path.string(), observer, entry->matrices());
  auto statistics = std::make_shared<InputStatistics>();
  statistics->K = static_cast<int64_t>(entry->columns());
  statistics->tokens = static_cast<uint64_t>(entry->counts.front());
  statistics->meanSquare = entry->importance();
  return statistics;
}
