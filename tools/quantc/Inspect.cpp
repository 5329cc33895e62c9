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
    for (const KernelEntry &k : artifact->manifest().kernels)
      for (auto &[target, address] : k.entry) {
        json["kernels"].push_back({{"name", k.name}, {"target", target}, {"calls", k.calls}, {"why", k.why}});
        if (options.kernels)
          text += fmt::format("{:28} {:16} {:5} calls  {}\n", k.name, target, k.calls, k.why);
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
