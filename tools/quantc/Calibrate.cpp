//===- Calibrate.cpp - quantc calibrate: what a model's linears see ---------------------------------------------===//

#include "quantc/Driver/Calibrate.h"
#include "DryRun.h"
#include "quantc/Driver/Progress.h"

using namespace quantc;

namespace {
struct Options {
  CalibrateOptions calibrate;
  bool dryRun = false;
};
} // namespace

static Status run(const Globals &globals, const Options &given) {
  CalibrateOptions options = given.calibrate;
  options.threads = globals.threads;
  options.note = [](const std::string &line) { fmt::print(stderr, "quantc: {}\n", line); };
  if (options.text.file.empty())
    fmt::print(stderr, "quantc: calibrates on the text that comes with it; name one like yours by --calib\n");
  if (given.dryRun) {
    QUANTC_ASSIGN(const QuantizePlan plan, planCalibration(options));
    printPlan(globals, plan, "statistics");
    return {};
  }
  std::shared_ptr<Progress> bar;
  std::string last;
  options.progress = [&](uint64_t done, uint64_t total, const std::string &stage) {
    if (stage != last)
      bar = std::make_shared<Progress>("calibrate " + (last = stage), globals.json);
    bar->update(done, total);
  };
  QUANTC_ASSIGN(const CalibrateReport report, calibrateModel(options));
  bar.reset();
  printResult(globals,
              {{"output", options.output.string()},
               {"sequences", report.sequences},
               {"tokens", report.tokens},
               {"inputs", report.observers},
               {"available_tokens", report.available},
               {"distinct_tokens", report.distinct},
               {"vocabulary", report.vocabulary},
               {"features", report.features},
               {"silent_features", report.silent}},
              fmt::format("{}: {} inputs of linears over {} of the text's {} tokens in {} sequences; {} of {} tokens "
                          "of the vocabulary occur, {} of {} features were always 0",
                          options.output.string(), report.observers, report.tokens, report.available, report.sequences,
                          report.distinct, report.vocabulary, report.silent, report.features));
  return {};
}

/// Where the programs of Hugging Face keep what they load.
static std::filesystem::path hubCache() {
  const auto variable = [](const char *name) {
    const char *value = std::getenv(name);
    return std::filesystem::path(value ? value : "");
  };
  if (auto hub = variable("HF_HUB_CACHE"); !hub.empty())
    return hub;
  const auto home = variable("HF_HOME");
  return (home.empty() ? variable("HOME") / ".cache" / "huggingface" : home) / "hub";
}

/// The file of a dataset that is given by its name; what is no such name stays.
static std::string fileOfDataset(const std::string &given) {
  const auto found = findDataset(given, hubCache());
  if (!found)
    throw CLI::ValidationError("--calib", found.error().message);
  return *found ? (*found)->string() : given;
}

void quantc::addCalibrationText(CLI::App *command, CalibrationText &text) {
  command
      ->add_option(
          "--calib", text.file,
          "a text to calibrate with, or lines of JSON (.jsonl) with \"text\", \"input_ids\" or \"messages\" "
          "(conversations, by the model's chat template); either compressed (.gz), a table (.parquet), or c4 or "
          "wikitext2, where Hugging Face's cache has them; default: one that comes with quantc")
      ->transform(fileOfDataset);
  command->add_option("--calib-sequences", text.sequences, "sequences to take from it, at most")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--calib-seed", text.seed, "which of its sequences; 0: evenly over the text")
      ->capture_default_str();
  command->add_option("--calib-length", text.length, "tokens of a sequence; default: no more than the model computes")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20))
      ->each([&text](const std::string &) { text.asked = true; });
}

void quantc::addMemoryBudget(CLI::App *command, uint64_t &bytes) {
  command
      ->add_option("--memory-budget", bytes,
                   "private memory that may be taken: 4G, 900M, 2GiB; what exceeds it lies in scratch files beside the "
                   "output; default: what is free here")
      ->transform(CLI::AsSizeValue(true))
      ->check(CLI::PositiveNumber);
}

void quantc::addCalibrate(CLI::App &app, Globals &globals, Action &chosen) {
  auto options = std::make_shared<Options>();
  CLI::App *c = addCommand(
      app, globals, "calibrate", "run a model on a text and keep what its linears see, for methods that want it",
      "  quantc calibrate model-directory --calib text.txt -o statistics.safetensors\n"
      "  quantc calibrate model-directory --calib text.txt -o imatrix.gguf\n"
      "  quantc quantize model-directory -o model.gguf --policy q4_k_m --method imatrix --calib statistics.safetensors",
      [&globals, options] { return run(globals, *options); }, chosen);
  addSource(c, options->calibrate.model);
  addCalibrationText(c, options->calibrate.text);
  addMemoryBudget(c, options->calibrate.memoryBudget);
  c->add_option("-o,--output", options->calibrate.output,
                "the file to write: safetensors; .gguf, .dat: an importance matrix of llama.cpp")
      ->required();
  c->add_flag("!--no-hessian", options->calibrate.hessian, "only sums of each feature: enough for importance matrices");
  c->add_flag("--fresh", options->calibrate.fresh, "do not go on from what a killed command finished");
  addDryRun(c, options->dryRun);
}
