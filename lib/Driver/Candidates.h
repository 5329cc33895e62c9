//===- Candidates.h - formats that are tried where nobody names any ---------------------------------------------===//
#pragma once

#include "quantc/Format/Format.h"
#include "quantc/Support/Result.h"
#include <functional>
#include <map>
#include <vector>

namespace quantc {

/// The rows of formats/candidates.json: of each tensor the first row counts whose formats can all hold it.
Result<std::vector<std::vector<std::string>>> candidateRows();

/// The formats that a budget chooses from.
class CandidateSet {
public:
  using Formats = std::vector<std::shared_ptr<const Format>>;
  /// `given`: those that users name; empty: the rows of formats/candidates.json. `find`: formats by their
  /// specification.
  static Result<CandidateSet>
  load(const std::vector<std::string> &given,
       const std::function<Result<std::shared_ptr<const Format>>(const std::string &)> &find);

  /// For a weight N x K: those of the given that can hold it, or the first row whose formats all can. Fails where there
  /// is none.
  Result<Formats> of(const std::string &weight, int64_t N, int64_t K) const;
  const std::vector<std::vector<std::string>> &specs() const { return rows; }

private:
  std::vector<std::vector<std::string>> rows;
  std::map<std::string, std::shared_ptr<const Format>> formats;
  bool isGiven = false;
};

} // namespace quantc
