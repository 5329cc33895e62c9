//===- QuantizeWeights.cpp - the phase that executes methods -----------------------------------------------------===//

#include "QuantizeWeights.h"
#include "ImatrixSource.h"
#include "Resume.h"
#include "SplitCalibration.h"
#include "WeightsPlan.h"
#include "quantc/Calibrate/Calibrator.h"
#include "quantc/Driver/Models.h"
#include "quantc/Pipelines/FirstError.h"
#include "quantc/Pipelines/Pipelines.h"
#include "quantc/Support/Workspace.h"
#include "quantc/Transforms/StatisticsFile.h"

using namespace mlir;
using namespace quantc;

namespace {
/// What methods learn from, and a content hash of that. No source where they need nothing.
struct Learned {
  std::unique_ptr<StatisticsSource> source;
  std::string data;
};
} // namespace

static std::filesystem::path scratchFolder(const std::filesystem::path &output) {
  return output.has_parent_path() ? output.parent_path() : std::filesystem::path(".");
}

std::vector<int64_t> quantc::lengthsOf(const std::vector<std::vector<int32_t>> &sequences) {
  std::vector<int64_t> lengths;
  for (const auto &sequence : sequences)
    lengths.push_back(static_cast<int64_t>(sequence.size()));
  return lengths;
}

static Result<Learned> learnFromFile(const std::filesystem::path &file) {
  Learned learned;
  if (file.extension() == ".safetensors") {
    QUANTC_ASSIGN(learned.source, StatisticsFile::open(file));
  } else {
    QUANTC_ASSIGN(learned.source, ImatrixSource::open(file));
  }
  QUANTC_ASSIGN(const auto mapped, MappedFile::open(file));
  Digest digest;
  digest.add(mapped->bytes());
  learned.data = digest.text();
  return learned;
}

static Result<Learned> learnFromText(const MethodInput &input, const MethodNeeds &needs,
                                     std::vector<std::vector<int32_t>> sequences, Workspace &workspace) {
  QUANTC_ASSIGN(auto graph, input.opened.graph());
  QUANTC_ASSIGN(const Target target, bestTarget(input.opened.data));
  CalibrationOptions calibration{.sequences = std::move(sequences),
                                 .predecessors =
                                     needs.quantizedInputs ? Predecessors::Quantized : Predecessors::Original,
                                 .threads = input.threads,
                                 .scratch = scratchFolder(input.output),
                                 .memory = &workspace};
  Digest digest;
  for (const std::vector<int32_t> &sequence : calibration.sequences)
    digest.add(std::as_bytes(std::span(sequence)));
  Learned learned{.data = digest.text()};
  if (needs.heldOut) {
    QUANTC_ASSIGN(learned.source, SplitCalibration::create(input.opened, input.store, target, std::move(calibration)));
    return learned;
  }
  QUANTC_ASSIGN(learned.source, Calibrator::create(std::move(graph), input.store, target, std::move(calibration)));
  return learned;
}

static bool isStatistics(const std::filesystem::path &file) {
  return file.extension() == ".safetensors" || file.extension() == ".gguf" || file.extension() == ".dat";
}

Result<std::vector<std::vector<int32_t>>>
quantc::calibrationSequences(const MethodInput &input, const MethodNeeds &needs, const MethodChoices &choices) {
  CalibrationText text = choices.calibration;
  if (!needs.statistics && !text.file.empty())
    return fail("method '{}' learns nothing from a text: leave --calib out, or name another --method", choices.names);
  if (needs.heldOut && isStatistics(text.file))
    return fail("method '{}' judges by sequences that it does not learn from: give the text itself by --calib, not {}",
                choices.names, text.file.string());
  if (!needs.statistics || isStatistics(text.file))
    return std::vector<std::vector<int32_t>>();
  if (text.file.empty()) {
    QUANTC_ASSIGN(text.file, defaultCalibrationText());
    if (choices.note)
      choices.note(fmt::format("method '{}' learns from the text that comes with quantc, {}; name one like yours by "
                               "--calib",
                               choices.names, text.file.filename().string()));
  }
  QUANTC_ASSIGN(const std::unique_ptr<Tokenizer> tokenizer, loadTokenizer(input.model));
  QUANTC_ASSIGN(CalibrationData data, readSequences(text, *tokenizer));
  return std::move(data.sequences);
}

Result<std::unique_ptr<Spool>> quantc::quantizeWeights(const MethodInput &input, const MethodChoices &choices,
                                                       bool leavePlain, const EncodeProgress &progress) {
  QUANTC_ASSIGN(const std::vector<std::string> methods, parseMethods(choices.names));
  const MethodNeeds needs = needsOf(methods);
  QUANTC_ASSIGN(auto sequences, calibrationSequences(input, needs, choices));
  QUANTC_ASSIGN(const QuantizePlan plan, planWeights(input, choices, methods, lengthsOf(sequences)));
  Workspace workspace(scratchFolder(input.output), plan.arrays); // outlives what is learned
  Learned learned;
  if (!sequences.empty()) {
    QUANTC_ASSIGN(learned, learnFromText(input, needs, std::move(sequences), workspace));
  } else if (needs.statistics) {
    QUANTC_ASSIGN(learned, learnFromFile(choices.calibration.file));
  }
  std::unique_ptr<Spool> spool;
  if (learned.source) {
    QUANTC_ASSIGN(spool, openSpool(input, choices, learned.data));
  }
  MethodOptions options;
  options.damp = choices.gptq.damp;
  options.actOrder = choices.gptq.actOrder;
  options.plain = choices.gptq.plain;
  options.scales = choices.gptq.scales;
  options.diagonal = learned.source && !learned.source->hasHessians();
  FirstError first(input.opened.context.get());
  PassManager manager(input.opened.context.get());
  buildMethodPipeline(manager, methods, options,
                      createMaterializePass(input.store, {.statistics = learned.source.get(),
                                                          .spool = spool.get(),
                                                          .threads = input.threads,
                                                          .leavePlain = leavePlain,
                                                          .progress = progress,
                                                          .memory = &workspace,
                                                          .window = plan.window}));
  if (failed(manager.run(input.module)))
    return first.error("encode");
  return spool;
}
