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
