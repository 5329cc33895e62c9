//===- Inspect.cpp - quantc inspect: what is in a file ----------------------------------------------------------===//

#include "Command.h"
#include "quantc/Artifact/Artifact.h"
#include "quantc/Driver/Weights.h"

using namespace quantc;

namespace {
struct Options {
  std::filesystem::path model;
  bool kernels = false;
};

std::string shapeText(const std::vector<int64_t> &shape) {
  return fmt::format("{}", fmt::join(shape, " x "));
}

std::string gridText(const GridAxisEntry &axis) {
  return axis.parameter ? fmt::format("#{} / {}", *axis.parameter, axis.size) : std::to_string(axis.size);
}

/// How each variant of a kernel for GPUs is launched.
std::string launchText(const std::vector<GPUVariant> &variants) {
  std::string text;
  for (const GPUVariant &v : variants)
    text += fmt::format("    {:24} {} tokens: grid {} x {}, {} threads, {} bytes of shared memory, {} parameters\n",
                        v.symbol, v.mostTokens ? std::to_string(v.mostTokens) : "all", gridText(v.grid[0]),
                        gridText(v.grid[1]), v.threads, v.sharedBytes, v.parameters);
  return text;
}
Json launchesOf(const std::vector<GPUVariant> &variants) {
  Json all = Json::array();
  for (const GPUVariant &v : variants)
    all.push_back({{"symbol", v.symbol},
                   {"most_tokens", v.mostTokens},
                   {"grid", {gridText(v.grid[0]), gridText(v.grid[1])}},
                   {"threads", v.threads},
                   {"shared_bytes", v.sharedBytes},
                   {"parameters", v.parameters}});
  return all;
}

Status run(const Globals &globals, const Options &options) {
  QUANTC_ASSIGN(InputKind kind, kindOf(options.model));
  QUANTC_ASSIGN(auto data, dataDirectory());
  QUANTC_ASSIGN(auto catalog, Catalog::open(data));
  QUANTC_ASSIGN(auto tensors, openTensors(options.model, *catalog));
  Json json = {{"tensors", Json::array()}, {"kernels", Json::array()}};
  std::string text;
  uint64_t bytes = 0;
  double weights = 0;
  for (const StoredTensor &t : tensors) {
    json["tensors"].push_back({{"name", t.name}, {"format", t.format}, {"shape", t.shape}, {"bytes", t.bytes}});
    if (!options.kernels)
      text += fmt::format("{:44} {:16} {:18} {:12} bytes\n", t.name, t.format, shapeText(t.shape), t.bytes);
    bytes += t.bytes;
    weights += double(t.rows()) * double(t.columns());
  }
  if (kind == InputKind::Artifact) {
    QUANTC_ASSIGN(auto artifact, Artifact::open(options.model));
    auto add = [&](const auto &kernel, const std::string &target, Json launches) {
      json["kernels"].push_back(
          {{"name", kernel.name}, {"target", target}, {"calls", kernel.calls}, {"why", kernel.why}});
      if (!launches.is_null())
        json["kernels"].back()["launches"] = std::move(launches);
      if (options.kernels)
        text += fmt::format("{:28} {:16} {:5} calls  {}\n", kernel.name, target, kernel.calls, kernel.why);
    };
    const Manifest &manifest = artifact->manifest();
    for (const KernelEntry &k : manifest.kernels)
      for (auto &[target, address] : k.entry)
        add(k, target, nullptr);
    if (manifest.gpu)
      for (const GPUKernelEntry &k : manifest.gpu->kernels)
        for (auto &[target, variants] : k.variants) {
          add(k, target, launchesOf(variants));
          if (options.kernels)
            text += launchText(variants);
        }
    json["certificate"] = artifact->manifest().certificate;
  }
  text += fmt::format("{} tensors, {:.0f} weights, {:.2f} MB: {:.3f} bits per weight", tensors.size(), weights,
                      double(bytes) / 1e6, double(bytes) * 8 / weights);
  printResult(globals, json, text);
  return {};
}
} // namespace

void quantc::addInspect(CLI::App &app, Globals &globals, Action &chosen) {
  auto options = std::make_shared<Options>();
  CLI::App *c = addCommand(
      app, globals, "inspect", "what is in a file: tensors, formats, sizes, kernels",
      "  quantc inspect model.gguf\n  quantc inspect model.qm --kernels",
      [&globals, options] { return run(globals, *options); }, chosen);
  addModel(c, options->model);
  c->add_flag("--kernels", options->kernels, "the kernels of an artifact, and why each was chosen");
}
