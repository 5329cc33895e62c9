//===- Doctor.cpp - quantc doctor: what works here --------------------------------------------------------------===//

#include "Command.h"
#include "quantc/CodeGen/NVPTX/Ptxas.h"
#include "quantc/Format/Format.h"
#include "quantc/Runtime/CUDA/Device.h"
#include "quantc/Runtime/Cpu.h"
#include "quantc/Support/Files.h"
#include "quantc/Support/Message.h"
#include "quantc/Target/GPUTarget.h"
#include "quantc/Target/Target.h"

using namespace quantc;
namespace fs = std::filesystem;

namespace {
/// The GPU, and which targets it runs; a driver or GPU that is not there is no error.
Status addGPU(const fs::path &data, const std::string &library, Json &json, std::string &text) {
  QUANTC_ASSIGN(const std::vector<GPUTarget> targets, GPUTarget::all(data));
  const auto gpu = cuda::DeviceProperties::of(library);
  json["cuda_driver"] = gpu.has_value();
  if (!gpu) {
    text += "GPU         none: " + oneLine(gpu.error().message);
    return {};
  }
  const auto [major, minor] = gpu->capability();
  json["gpu"] = {{"name", gpu->name()}, {"capability", fmt::format("{}.{}", major, minor)}};
  text += fmt::format("GPU         {} (compute capability {}.{})", gpu->name(), major, minor);
  for (const GPUTarget &target : targets) {
    const bool runs = gpu->runs(target.chip);
    json["targets"][target.name] = runs ? Json(true) : Json("another GPU");
    text += fmt::format("\ntarget      {:20} {}", target.name, runs ? "runs here" : "needs another GPU");
  }
  return {};
}

Status run(const Globals &globals, const std::string &cudaLibrary) {
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
  text += fmt::format("formats     {} descriptions verify\n", good);
  const auto ptxas = findPtxas();
  json["ptxas"] = ptxas ? Json(ptxas->string()) : Json(false);
  text +=
      fmt::format("ptxas       {}\n", ptxas ? ptxas->string() : "none: PTX is written, and the driver assembles it");
  QUANTC_TRY(addGPU(data, cudaLibrary, json, text));
  printResult(globals, json, text);
  return {};
}
} // namespace

void quantc::addDoctor(CLI::App &app, Globals &globals, Action &chosen) {
  auto library = std::make_shared<std::string>(cuda::systemLibrary);
  addCommand(
      app, globals, "doctor", "what works on this machine", "  quantc doctor",
      [&globals, library] { return run(globals, *library); }, chosen)
      ->add_option("--cuda-library", *library, "the CUDA driver")
      ->capture_default_str();
}
