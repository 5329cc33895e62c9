//===- Inspect.cpp - quantc inspect: what is in a file ----------------------------------------------------------===//

#include "Command.h"
#include "KernelReport.h"
#include "quantc/Driver/Weights.h"

using namespace quantc;

namespace {
struct Options {
  std::filesystem::path model;
  bool kernels = false, noRun = false;
  std::vector<int64_t> tokens = KernelTimesOptions().tokens;
};

std::string shapeText(const std::vector<int64_t> &shape) {
  return fmt::format("{}", fmt::join(shape, " x "));
}

/// The kernels with what they take here, if the file has code for this processor. Without --kernels nothing of the file
/// runs.
Status addKernels(const Globals &globals, const Options &options, const Artifact &artifact, Json &json,
                  std::string &text) {
  if (!options.kernels) {
    json["kernels"] = listKernels(artifact.manifest());
    return {};
  }
  KernelReport report;
  auto model = options.noRun ? tl::unexpected(Error{"as asked for"}) : Model::load(options.model);
  if (model) {
    QUANTC_ASSIGN(const KernelTimes times, timeKernels(*model, {.threads = globals.threads, .tokens = options.tokens}));
    report = reportKernels(artifact.manifest(), (*model)->target(), &times);
  } else {
    report = reportKernels(artifact.manifest(), "", nullptr);
    report.text += fmt::format("not measured: {}\n", model.error().message);
  }
  json["kernels"] = std::move(report.kernels);
  json["measured"] = std::move(report.measured);
  text += report.text;
  return {};
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
    QUANTC_TRY(addKernels(globals, options, *artifact, json, text));
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
      "  quantc inspect model.gguf\n  quantc inspect model.qm --kernels\n  quantc inspect model.qm --kernels --no-run",
      [&globals, options] { return run(globals, *options); }, chosen);
  addModel(c, options->model);
  CLI::Option *kernels =
      c->add_flag("--kernels", options->kernels,
                  "the kernels of an artifact: why each is as it is, what it takes on this machine and at least; runs "
                  "the code of the file");
  c->add_option("--tokens", options->tokens, "kernels are measured in steps of so many tokens: 1,8,512")
      ->delimiter(',')
      ->needs(kernels)
      ->check(CLI::Range(int64_t(1), int64_t(1) << 24));
  c->add_flag("--no-run", options->noRun, "of kernels, only what the file says; nothing of it runs")->needs(kernels);
}
