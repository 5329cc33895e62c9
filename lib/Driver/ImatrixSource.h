//===- ImatrixSource.h - statistics out of importance matrices of llama.cpp -------------------------------------===//
#pragma once

#include "quantc/Artifact/Imatrix.h"
#include "quantc/Transforms/StatisticsSource.h"

namespace quantc {

/// Mean squares of inputs, and nothing else: enough for the method imatrix.
class ImatrixSource : public StatisticsSource {
public:
  static Result<std::unique_ptr<ImatrixSource>> open(const std::filesystem::path &path);

  /// An observer is called like the first weight that reads the input, as matrices name every weight.
  Result<std::shared_ptr<const InputStatistics>> of(const std::string &observer, bool hessian) override;
  Status replaced(const std::string &, std::span<const float>) override { return {}; }

private:
  ImatrixSource(std::filesystem::path path, Imatrix matrix) : path(std::move(path)), matrix(std::move(matrix)) {}
  std::filesystem::path path;
  Imatrix matrix;
};

} // namespace quantc
