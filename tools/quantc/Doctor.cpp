//===- Doctor.cpp - quantc doctor: what works here --------------------------------------------------------------===//

#include "Command.h"
#include "quantc/Format/Format.h"
#include "quantc/Runtime/Cpu.h"
#include "quantc/Support/Files.h"
#include "quantc/Target/Target.h"
#include <dlfcn.h>

using namespace quantc;
namespace fs = std::filesystem;

namespace {
Status run(const Globals &globals) {
  QUANTC_ASSIGN(fs::path data, dataDirectory());
  QUANTC_ASSIGN(auto catalog, Catalog::open(data));
  QUANTC_ASSIGN(std::vector<Target> targets, Target::all(data));
  Json json = {{"processor", cpuName()},
               {"processors", availableProcessors()},
               {"data", data.string()},
               {"cache", globals.cache.string()}};
  std::string text = fmt::format("processor   {} ({} available)\ndata        {}\ncache       {}\n", cpuName(),
                                 availableProcessors(), data.string(), globals.cache.string());
  for (const Target &target : targets) {
    const std::string missing(firstMissingFeature(target.required));
    json["targets"][target.name] = missing.empty() ? Json(true) : Json(missing);
    text += fmt::format("target      {:20} {}\n", target.name, missing.empty() ? "runs here" : "needs " + missing);
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
