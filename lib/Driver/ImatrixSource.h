//===- ImatrixSource.h - statistics out of importance matrices of llama.cpp, and into them ----------------------===//
#pragma once

#include "quantc/Artifact/Imatrix.h"
#include "quantc/Methods/StatisticsSource.h"
#include "llvm/ADT/StringMap.h"
#include <optional>

namespace quantc {

/// Mean squares of inputs, and nothing else: enough for the method imatrix.
class ImatrixSource : public StatisticsSource {
public:
  static Result<std::unique_ptr<ImatrixSource>> open(const std::filesystem::path &path);

  bool hasHessians() const override { return false; }
  /// An observer is called like the first weight that reads the input, as matrices name every weight.
  Result<std::shared_ptr<const InputStatistics>> of(const std::string &observer, bool hessian) override;
  Status replaced(const std::string &, const ReadRows &) override { return {}; }

private:
  ImatrixSource(std::filesystem::path path, Imatrix matrix) : path(std::move(path)), matrix(std::move(matrix)) {}
  std::filesystem::path path;
  Imatrix matrix;
};

/// How an importance matrix is stored: by the file's name, as llama.cpp has it. Nothing where the name has neither end.
enum class ImatrixKind { Gguf, Old };
std::optional<ImatrixKind> imatrixKind(const std::filesystem::path &path);

/// Writes what `source` knows of each weight, `observers` giving the observer of its input. `text` is the name of the
/// calibration text, read in sequences of `length` tokens.
Status writeImatrix(const std::filesystem::path &path, ImatrixKind kind, StatisticsSource &source,
                    const std::vector<std::pair<std::string, int64_t>> &observers,
                    const llvm::StringMap<std::string> &observerOf, const std::string &text, uint32_t length);

} // namespace quantc
