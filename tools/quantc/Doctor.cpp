//===- Doctor.cpp - quantc doctor: what works here --------------------------------------------------------------===//

#include "Command.h"
#include "quantc/Format/Format.h"
#include "quantc/Runtime/Cpu.h"
#include "quantc/Support/Files.h"
#include "quantc/Support/Json.h"
#include <algorithm>
#include <dlfcn.h>

using namespace quantc;
namespace fs = std::filesystem;

namespace {
/// Targets of the data directory, and what this processor lacks for each (empty: nothing).
Result<std::vector<std::pair<std::string, std::string>>> targets(const fs::path &data) {
  std::vector<std::pair<std::string, std::string>> all;
  for (const auto &entry : fs::directory_iterator(data / "targets")) {
    if (entry.path().extension() != ".json")
      continue;
    QUANTC_ASSIGN(const auto target, readJsonObject(entry.path()));
    std::string missing;
    for (const auto &feature : target.value("requires", nlohmann::json::array()))
      if (feature.is_string() && missing.empty() && !cpuHas(feature.get<std::string>()))
        missing = feature.get<std::string>();
    all.emplace_back(entry.path().stem().string(), missing);
  }
  std::ranges::sort(all);
  return all;
}

Status run(const Globals &globals) {
  QUANTC_ASSIGN(fs::path data, dataDirectory());
  QUANTC_ASSIGN(auto catalog, Catalog::open(data));
  QUANTC_ASSIGN(auto all, targets(data));
  Json json = {{"processor", cpuName()},
               {"processors", availableProcessors()},
               {"data", data.string()},
               {"cache", globals.cache.string()}};
  std::string text = fmt::format("processor   {} ({} available)\ndata        {}\ncache       {}\n", cpuName(),
                                 availableProcessors(), data.string(), globals.cache.string());
  for (auto &[name, missing] : all) {
    json["targets"][name] = missing.empty() ? Json(true) : Json(missing);
    text += fmt::format("target      {:20} {}\n", name, missing.empty() ? "runs here" : "needs " + missing);
  }
  size_t good = 0;
  for (const std::string &name : catalog->formatNames()) {
    auto format = catalog->format(name);
    if (format)
      good++;
    else
      text += fmt::format("format      {}\n", format.error().message);
  }
  json["formats"] = good;
  void *cuda = ::dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
  json["cuda_driver"] = cuda != nullptr;
  if (cuda)
    ::dlclose(cuda);
  text += fmt::format("formats     {} descriptions verify\nCUDA driver {}", good,
                      cuda ? "found (GPU code is not yet available)" : "none");
  printResult(globals, json, text);
  return {};
}
} // namespace

void quantc::addDoctor(CLI::App &app, Globals &globals, Action &chosen) {
  addCommand(
      app, globals, "doctor", "what works on this machine", "  quantc doctor", [&globals] { return run(globals); },
      chosen);
}
