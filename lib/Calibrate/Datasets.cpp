//===- Datasets.cpp - calibration texts that have names ---------------------------------------------------------===//

#include "quantc/Calibrate/CalibrationText.h"
#include "quantc/Support/Files.h"
#include "quantc/Support/Json.h"
#include <algorithm>

using namespace quantc;
namespace fs = std::filesystem;

/// The newest file below `folder` that the path names, in which "*" is one folder of any name.
static std::optional<fs::path> findFile(const fs::path &folder, const fs::path &path) {
  std::vector<fs::path> places = {folder};
  std::error_code ignored;
  for (const fs::path &part : path) {
    std::vector<fs::path> next;
    for (const fs::path &place : places)
      if (part != "*")
        next.push_back(place / part);
      else
        for (const auto &entry : fs::directory_iterator(place, ignored))
          next.push_back(entry.path());
    places = std::move(next);
  }
  std::erase_if(places, [&](const fs::path &place) { return !fs::is_regular_file(place, ignored); });
  const auto time = [&](const fs::path &place) { return fs::last_write_time(place, ignored); };
  const auto newest = std::ranges::max_element(places, {}, time);
  return newest == places.end() ? std::nullopt : std::optional(*newest);
}

Result<std::optional<fs::path>> quantc::findDataset(const std::string &name, const fs::path &hub) {
  QUANTC_ASSIGN(const fs::path data, dataDirectory());
  QUANTC_ASSIGN(const nlohmann::json known, readJsonObject(data / "calibration" / "datasets.json"));
  const auto dataset = known.find(name);
  if (dataset == known.end() || !dataset->is_array())
    return std::nullopt;
  for (const std::string path : *dataset)
    if (auto found = findFile(hub, path))
      return found;
  return fail("the dataset {} does not lie in {} (looked for {}); load it by Hugging Face's programs, or give a file",
              name, hub.string(), dataset->front().get<std::string>());
}
