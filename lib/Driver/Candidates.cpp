//===- Candidates.cpp - formats that are tried where nobody names any -------------------------------------------===//

#include "Candidates.h"
#include "quantc/Support/Files.h"
#include "quantc/Support/Json.h"

using namespace quantc;

Result<std::vector<std::vector<std::string>>> quantc::candidateRows() {
  QUANTC_ASSIGN(const std::filesystem::path data, dataDirectory());
  const std::filesystem::path file = data / "formats" / "candidates.json";
  QUANTC_ASSIGN(const nlohmann::json known, readJsonObject(file));
  try {
    return known.at("rows").get<std::vector<std::vector<std::string>>>();
  } catch (const nlohmann::json::exception &problem) {
    return fail("{}: {}", file.string(), problem.what());
  }
}

Result<CandidateSet>
CandidateSet::load(const std::vector<std::string> &given,
                   const std::function<Result<std::shared_ptr<const Format>>(const std::string &)> &find) {
  CandidateSet set;
  set.isGiven = !given.empty();
  set.rows = {given};
  if (!set.isGiven) {
    QUANTC_ASSIGN(set.rows, candidateRows());
  }
  for (const auto &row : set.rows)
    for (const std::string &spec : row) {
      QUANTC_ASSIGN(set.formats[spec], find(spec));
    }
  return set;
}

Result<CandidateSet::Formats> CandidateSet::of(const std::string &weight, int64_t N, int64_t K) const {
  for (const auto &row : rows) {
    Formats fitting;
    for (const std::string &spec : row)
      if (const auto &format = formats.at(spec); format->checkShape(N, K))
        fitting.push_back(format);
    if (fitting.size() == row.size() || (isGiven && !fitting.empty()))
      return fitting;
  }
  return fail("weight {} ({} x {}): none of the candidates can hold it; name others by --candidates", weight, N, K);
}
