//===- StatisticsFile.h - statistics of calibration in a safetensors file ---------------------------------------===//
#pragma once

#include "quantc/Artifact/Safetensors.h"
#include "quantc/Methods/StatisticsSource.h"

namespace quantc {

/// `columns.NAME`: F32 [3, K], the means of |x| and x² and the largest |x|; `hessian.NAME`: F32 [K, K], the mean of x
/// xᵀ; NAME is the observer of an input. The metadata have the number of tokens.
class StatisticsFile : public StatisticsSource {
public:
  /// Fails where the file is no safetensors file or has no such tensors. `memory`: where Hessians lie that are asked
  /// for; it outlives them.
  static Result<std::unique_ptr<StatisticsFile>>
  open(const std::filesystem::path &path, std::pmr::memory_resource *memory = std::pmr::get_default_resource());

  bool hasHessians() const override;
  Result<std::shared_ptr<const InputStatistics>> of(const std::string &observer, bool hessian) override;
  Status replaced(const std::string &, const ReadRows &) override { return {}; }

private:
  StatisticsFile(std::shared_ptr<const Safetensors> file, uint64_t tokens, std::pmr::memory_resource *memory)
      : file(std::move(file)), tokens(tokens), memory(memory) {}
  std::shared_ptr<const Safetensors> file;
  uint64_t tokens;
  std::pmr::memory_resource *memory;
};

/// Writes what `source` knows of the observers, `features` being their K, in their order. The file appears whole or not
/// at all.
Status writeStatistics(const std::filesystem::path &path, StatisticsSource &source,
                       const std::vector<std::pair<std::string, int64_t>> &observers, bool hessian, uint64_t tokens);

} // namespace quantc
