//===- QuantizeWeights.cpp - the phase that executes methods -----------------------------------------------------===//

#include "QuantizeWeights.h"
#include "ImatrixSource.h"
#include "Resume.h"
#include "SplitCalibration.h"
#include "quantc/Calibrate/Calibrator.h"
#include "quantc/Driver/Models.h"
#include "quantc/Pipelines/FirstError.h"
#include "quantc/Pipelines/Pipelines.h"
#include "quantc/Transforms/SplitOutliers.h"
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

/// What a calibration reads, and the content hash of its tokens.
static Result<Learned> readTokens(const MethodInput &input, const CalibrationText &text, CalibrationOptions &options) {
  QUANTC_ASSIGN(const std::unique_ptr<Tokenizer> tokenizer, loadTokenizer(input.model));
  QUANTC_ASSIGN(CalibrationData data, readSequences(text, *tokenizer));
  Digest digest;
  for (const std::vector<int32_t> &sequence : data.sequences)
    digest.add(std::as_bytes(std::span(sequence)));
  options.sequences = std::move(data.sequences);
  options.threads = input.threads;
  options.scratch = std::filesystem::temp_directory_path();
  return Learned{.data = digest.text()};
}

static Result<Learned> learnFromText(const MethodInput &input, const MethodNeeds &needs, const CalibrationText &text) {
  CalibrationOptions options{.predecessors = needs.quantizedInputs ? Predecessors::Quantized : Predecessors::Original,
                             .hessian = needs.hessian};
  QUANTC_ASSIGN(Learned learned, readTokens(input, text, options));
  QUANTC_ASSIGN(const Target target, bestTarget(input.opened.data));
  if (needs.heldOut) {
    QUANTC_ASSIGN(learned.source, SplitCalibration::create(input.module, input.store, target, std::move(options)));
  } else {
    QUANTC_ASSIGN(learned.source,
                  Calibrator::create(ModuleOp(input.module).clone(), input.store, target, std::move(options)));
  }
  return learned;
}

/// Whether a file has statistics, rather than text.
static bool isStatistics(const std::filesystem::path &file) {
  return llvm::is_contained({".safetensors", ".gguf", ".dat"}, file.extension());
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
  if (isStatistics(file))
    return needs.heldOut ? fail("method '{}' judges by sequences that it does not learn from: give the text itself by "
                                "--calib, not {}",
                                choices.names, file.string())
                         : learnFromFile(file);
  return learnFromText(input, needs, choices.calibration);
}

Result<OwningOpRef<ModuleOp>> quantc::graphFor(const OpenedModel &opened, const MethodChoices &choices) {
  QUANTC_ASSIGN(const MethodNames names, parseMethods(choices.names));
  QUANTC_ASSIGN(OwningOpRef<ModuleOp> graph, opened.graph());
  if (!names.rotate)
    return graph;
  FirstError first(opened.context.get());
  PassManager manager(opened.context.get());
  RotateOptions options;
  options.seed = choices.rotateSeed;
  buildRotatePipeline(manager, options);
  if (failed(manager.run(*graph)))
    return first.error("method 'rotate'");
  return graph;
}

/// Splits off the features that are outliers in the calibration text, or by statistics in a file.
static Status splitOutliers(const MethodInput &input, const MethodChoices &choices) {
  QUANTC_ASSIGN(const Learned learned, learn(input, {.statistics = true, .hessian = false}, choices));
  FirstError first(input.opened.context.get());
  PassManager manager(input.opened.context.get());
  manager.addPass(createSplitOutliersPass(*learned.source, choices.outlierThreshold));
  return failed(manager.run(input.module)) ? first.error("method 'llm-int8'") : Status();
}

Result<std::unique_ptr<Spool>> quantc::quantizeWeights(const MethodInput &input, const MethodChoices &choices,
                                                       bool leavePlain, const EncodeProgress &progress) {
  QUANTC_ASSIGN(const MethodNames names, parseMethods(choices.names));
  const std::vector<std::string> &methods = names.weights;
  const MethodNeeds needs = needsOf(methods, choices.heldOut);
  if (names.llmInt8 && needs.statistics && isStatistics(choices.calibration.file))
    return fail("method '{}' learns from inputs without their outliers: give the text itself by --calib, not {}",
                choices.names, choices.calibration.file.string());
  if (names.llmInt8)
    QUANTC_TRY(splitOutliers(input, choices));
  Learned learned;
  if (needs.statistics || !names.llmInt8) {
    QUANTC_ASSIGN(learned, learn(input, needs, choices));
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
  options.heldOut = choices.heldOut;
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
