//===- ImatrixSource.cpp - statistics out of importance matrices of llama.cpp, and into them --------------------===//

#include "ImatrixSource.h"
#include <algorithm>

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

std::optional<ImatrixKind> quantc::imatrixKind(const std::filesystem::path &path) {
  if (path.extension() == ".gguf")
    return ImatrixKind::Gguf;
  if (path.extension() == ".dat")
    return ImatrixKind::Old;
  return {};
}

Status quantc::writeImatrix(const std::filesystem::path &path, ImatrixKind kind, StatisticsSource &source,
                            const std::vector<std::pair<std::string, int64_t>> &observers,
                            const llvm::StringMap<std::string> &observerOf, const std::string &text, uint32_t length) {
  Imatrix matrix{.datasets = {text}, .chunkTokens = length};
  for (const auto &[observer, K] : observers) { // in the order in which the model runs
    QUANTC_ASSIGN(const std::shared_ptr<const InputStatistics> statistics, source.of(observer, false));
    const auto tokens = static_cast<float>(statistics->tokens);
    matrix.chunks = static_cast<uint32_t>((statistics->tokens + length - 1) / length);
    std::vector<float> sums(statistics->meanSquare);
    for (float &sum : sums)
      sum *= tokens;
    for (const auto &weight : observerOf)
      if (weight.second == observer)
        matrix.entries.push_back({weight.first().str() + ".weight", sums, {tokens}});
  }
  std::ranges::sort(matrix.entries, {}, &ImatrixEntry::name);
  return kind == ImatrixKind::Gguf ? matrix.write(path) : matrix.writeOld(path);
}
