//===- Verify.cpp - quantc verify: whether an artifact is what its certificate says -----------------------------===//

#include "quantc/Driver/Verify.h"
#include "Command.h"
#include "quantc/Driver/Progress.h"

using namespace quantc;

static Status run(const Globals &globals, VerifyOptions options) {
  options.threads = globals.threads;
  std::shared_ptr<Progress> bar;
  std::string last;
  options.progress = [&](const std::string &phase, uint64_t done, uint64_t total) {
    if (phase != last)
      bar = std::make_shared<Progress>(last = phase, globals.json);
    bar->update(done, total);
  };
  QUANTC_ASSIGN(const VerifyReport report, verifyArtifact(options));
  bar.reset();
  std::string text = fmt::format("{}: written by {}\n{} tensors have the bytes that were written\n",
                                 options.artifact.string(), report.tool, report.tensors);
  if (report.sources)
    text += fmt::format("{} source tensors are those of {}\n", report.sources, options.source.string());
  if (report.errors)
    text += fmt::format("{} errors of weights are as certified\n", report.errors);
  if (report.identical)
    text += fmt::format("{} tensors are what the recipe gives, byte for byte\n", report.identical);
  for (const std::string &what : report.notChecked)
    text += fmt::format("not checked: {}\n", what);
  printResult(globals,
              {{"verified", true},
               {"tool", report.tool},
               {"recipe", report.recipe},
               {"tensors", report.tensors},
               {"sources", report.sources},
               {"errors", report.errors},
               {"identical", report.identical},
               {"not_checked", report.notChecked}},
              text + (report.notChecked.empty() ? "verified" : "verified as far as checked"));
  return {};
}

void quantc::addVerify(CLI::App &app, Globals &globals, Action &chosen) {
  auto options = std::make_shared<VerifyOptions>();
  CLI::App *c = addCommand(
      app, globals, "verify", "whether an artifact is what its certificate says; none of its code runs",
      "  quantc verify model.qm\n"
      "  quantc verify model.qm --source model-directory\n"
      "  quantc verify model.qm --source model-directory --calib text.txt",
      [&globals, options] { return run(globals, *options); }, chosen);
  c->add_option("artifact", options->artifact, "the artifact")->required()->type_name("FILE.qm");
  c->add_option("--source", options->source,
                "the model that it was made of: hashes, errors and, by the recipe, every byte are derived again");
  c->add_option("--calib", options->calibration, "what the recipe's method learned from");
}
