//===- Quantize.cpp - quantc quantize: a model into another checkpoint ------------------------------------------===//

#include "quantc/Driver/Quantize.h"
#include "Command.h"
#include "EvidenceArguments.h"
#include "quantc/Driver/Compile.h"
#include "quantc/Driver/Progress.h"
#include <optional>

using namespace quantc;

namespace {
struct Options {
  QuantizeOptions quantize;
  MethodChoices method;
  EvidenceArguments evidence;
  bool dryRun = false;
};

/// By the output's name, else the only one that carries the format.
Status chooseContainer(QuantizeOptions &quantize) {
  if (!quantize.container.empty() || quantize.output.extension() == ".gguf")
    return {};
  auto container = containerOf(quantize.format, quantize.formatFiles);
  if (!container)
    return failAt(quantize.output.string(), container.error());
  quantize.container = *container;
  return {};
}

Status run(const Globals &globals, Options options) {
  QUANTC_TRY(chooseContainer(options.quantize));
  QUANTC_TRY(checkModel(options.quantize.model));
  options.quantize.threads = globals.threads;
  if (options.dryRun && options.evidence.budget.empty())
    return dryRun(globals, options.quantize, options.method);
  if (!options.evidence.budget.empty() && !options.quantize.container.empty() && options.quantize.container != "gguf")
    return fail("container {} holds one format; a budget chooses several: write a .gguf", options.quantize.container);
  Evidence evidence(options.evidence, globals,
                    {.model = options.quantize.model,
                     .output = options.quantize.output,
                     .formatFiles = options.quantize.formatFiles,
                     .kernelStorage = false});
  if (options.dryRun)
    return evidence.dryRun(options.method);
  QUANTC_TRY(evidence.begin(options.quantize.policy, options.method));
  std::optional<Progress> progress;
  options.method.progress = [&](uint64_t done, uint64_t total, const std::string &weight, std::optional<double> nmse) {
    if (!progress)
      progress.emplace("quantize", globals.json);
    progress->update(done, total, weight, nmse);
  };
  options.quantize.progress = [&, isWriting = false](uint64_t done, uint64_t total, const std::string &tensor,
                                                     double nmse) mutable {
    if (!std::exchange(isWriting, true))
      progress.emplace(options.method.names == "rtn" ? "quantize" : "write", globals.json);
    progress->update(done, total, tensor, nmse);
  };
  QUANTC_ASSIGN(QuantizeReport report, options.method.names == "rtn" && options.method.calibration.file.empty()
                                           ? quantizeModel(options.quantize)
                                           : quantizeModel(options.quantize, options.method));
  progress.reset();
  QUANTC_TRY(evidence.finish(options.method, [&] { return report.tensors; }));
  Json json = {{"output", options.quantize.output.string()}, {"bytes", report.bytes}, {"tensors", Json::array()}};
  std::string text;
  evidence.addTo(json, text);
  double weights = 0;
  for (const QuantizedTensor &t : report.tensors) {
    json["tensors"].push_back({{"name", t.name},
                               {"format", t.format},
                               {"shape", t.shape},
                               {"bytes", t.bytes},
                               {"nmse", t.nmse},
                               {"method", t.method}});
    if (globals.verbose)
      text += fmt::format("{:36} {:12} {:14} NMSE {:.3g}\n", t.name, t.format, t.method, t.nmse);
    double n = 1;
    for (int64_t extent : t.shape)
      n *= double(extent);
    weights += n;
  }
  printResult(globals, json,
              text + fmt::format("{}: {} tensors, {:.2f} MB, {:.3f} bits per weight", options.quantize.output.string(),
                                 report.tensors.size(), double(report.bytes) / 1e6,
                                 double(report.bytes) * 8 / weights));
  return {};
}
} // namespace

void quantc::addQuantize(CLI::App &app, Globals &globals, Action &chosen) {
  auto options = std::make_shared<Options>();
  CLI::App *c = addCommand(
      app, globals, "quantize", "quantize a model into a checkpoint for other programs",
      "  quantc quantize model-directory -o model.gguf --policy q4_k_m\n"
      "  quantc quantize model-f16.gguf -o model.gguf --format f16\n"
      "  quantc quantize model-directory -o out-directory --container gptq --format int:4:g128\n"
      "  quantc quantize model-directory -o model.gguf --budget 4.25bpw --calib text.txt --save-policy mine.json\n"
      "  quantc quantize model-directory -o model.gguf --policy q4_k_m --report report.html --report-text heldout.txt\n"
      "  quantc quantize model-directory -o model.gguf --policy q4_k_m --method gptq --memory-budget 4G --dry-run",
      [&globals, options] { return run(globals, *options); }, chosen);
  addSource(c, options->quantize.model);
  c->add_option("-o,--output", options->quantize.output, "the file to write, or the folder")->required();
  auto *format = c->add_option("--format", options->quantize.format,
                               "the format of every matrix, as in formats/: NAME[:parameter…]");
  auto *policy = c->add_option("--policy", options->quantize.policy,
                               "a policy that gives each tensor its format: a name in policies/ or a file");
  format->excludes(policy);
  c->add_option("--format-file", options->quantize.formatFiles,
                "a description of a format beyond the shipped ones; may be given several times");
  addMethod(c, options->method);
  c->add_option(
      "--container", options->quantize.container,
      "the kind of file: gguf, or one of containers/ for a Hugging Face directory; default: gguf where the output "
      "ends in .gguf, else the only one that carries the format");
  c->add_flag("--allow-requantize", options->quantize.allowRequantize, "quantize tensors that are quantized already");
  addEvidence(c, options->evidence);
  addDryRun(c, options->dryRun);
}
