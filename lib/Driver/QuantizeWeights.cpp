//===- QuantizeWeights.cpp - the phase that executes methods -----------------------------------------------------===//

#include "QuantizeWeights.h"
#include "ImatrixSource.h"
#include "Resume.h"
#include "SplitCalibration.h"
#include "quantc/Calibrate/Calibrator.h"
#include "quantc/Driver/Models.h"
#include "quantc/Pipelines/FirstError.h"
#include "quantc/Pipelines/Pipelines.h"
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

static Result<Learned> learnFromText(const MethodInput &input, const MethodNeeds &needs, const CalibrationText &text) {
  QUANTC_ASSIGN(auto graph, input.opened.graph());
  QUANTC_ASSIGN(const std::unique_ptr<Tokenizer> tokenizer, loadTokenizer(input.model));
  QUANTC_ASSIGN(const Target target, bestTarget(input.opened.data));
  CalibrationOptions calibration{.predecessors =
                                     needs.quantizedInputs ? Predecessors::Quantized : Predecessors::Original,
                                 .threads = input.threads,
                                 .scratch = std::filesystem::temp_directory_path()};
  QUANTC_ASSIGN(CalibrationData data, readSequences(text, *tokenizer));
  calibration.sequences = std::move(data.sequences);
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

static Result<Learned> learn(const MethodInput &input, const MethodNeeds &needs, const MethodChoices &choices) {
  const std::filesystem::path &file = choices.calibration.file;
  if (!needs.statistics && !file.empty())
    return fail("method '{}' learns nothing from a text: leave --calib out, or name another --method", choices.names);
  if (!needs.statistics)
    return Learned();
  if (file.empty()) {
    CalibrationText text = choices.calibration;
    QUANTC_ASSIGN(text.file, defaultCalibrationText());
    if (choices.note)
      choices.note(fmt::format("method '{}' learns from the text that comes with quantc, {}; name one like yours by "
                               "--calib",
                               choices.names, text.file.filename().string()));
    return learnFromText(input, needs, text);
  }
  for (const char *extension : {".safetensors", ".gguf", ".dat"})
    if (file.extension() == extension)
      return needs.heldOut
                 ? fail("method '{}' judges by sequences that it does not learn from: give the text itself by "
                        "--calib, not {}",
                        choices.names, file.string())
                 : learnFromFile(file);
  return learnFromText(input, needs, choices.calibration);
}

Result<std::unique_ptr<Spool>> quantc::quantizeWeights(const MethodInput &input, const MethodChoices &choices,
                                                       bool leavePlain, const EncodeProgress &progress) {
  QUANTC_ASSIGN(const std::vector<std::string> methods, parseMethods(choices.names));
  QUANTC_ASSIGN(const Learned learned, learn(input, needsOf(methods), choices));
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
                                                          .progress = progress}));
  if (failed(manager.run(input.module)))
    return first.error("encode");
  return spool;
}
