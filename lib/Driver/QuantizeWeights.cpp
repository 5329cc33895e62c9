//===- QuantizeWeights.cpp - the phase that executes methods -----------------------------------------------------===//

#include "QuantizeWeights.h"
#include "CalibrationInput.h"
#include "ChooseTargets.h"
#include "ImatrixSource.h"
#include "Resume.h"
#include "SplitCalibration.h"
#include "WeightsPlan.h"
#include "quantc/Calibrate/Calibrator.h"
#include "quantc/Driver/Models.h"
#include "quantc/Methods/StatisticsFile.h"
#include "quantc/Pipelines/FirstError.h"
#include "quantc/Pipelines/Pipelines.h"
#include "quantc/Support/Workspace.h"
#include "quantc/Transforms/SplitOutliers.h"

using namespace mlir;
using namespace quantc;

namespace {
/// What methods learn from, and a content hash of that. No source where they need nothing.
struct Learned {
  std::unique_ptr<StatisticsSource> source;
  std::string data;
};
} // namespace

std::filesystem::path quantc::scratchFolder(const std::filesystem::path &output) {
  return output.has_parent_path() ? output.parent_path() : std::filesystem::path(".");
}

std::vector<int64_t> quantc::lengthsOf(const std::vector<std::vector<int32_t>> &sequences) {
  std::vector<int64_t> lengths;
  for (const auto &sequence : sequences)
    lengths.push_back(static_cast<int64_t>(sequence.size()));
  return lengths;
}

MethodNeeds quantc::needsOf(llvm::ArrayRef<std::string> methods, const MethodChoices &choices) {
  MethodNeeds needs = needsOf(methods, choices.heldOut);
  needs.quantizedInputs &= choices.gptq.inputs == "quantized";
  return needs;
}

Status quantc::checkChoices(const MethodInput &input, llvm::ArrayRef<std::string> methods,
                            const MethodChoices &choices) {
  if (choices.gptq.groups == "static")
    return {};
  if (!choices.gptq.actOrder)
    return fail("dynamic groups are those of columns in another order: give --gptq-act-order");
  if (methods.back() != "gptq" || choices.heldOut)
    return fail("dynamic groups are for the method gptq alone, not for '{}'{}: they would be lost where another wins",
                choices.names, choices.heldOut ? " with --held-out" : "");
  if (!input.holdsOrder)
    return fail("{}: dynamic groups put columns in another order, which this kind of file cannot say: give a "
                "--container that can (gptq), or static groups",
                input.output.string());
  return {};
}

static Result<Learned> learnFromFile(const std::filesystem::path &file, Workspace &workspace) {
  Learned learned;
  if (file.extension() == ".safetensors") {
    QUANTC_ASSIGN(learned.source, StatisticsFile::open(file, &workspace));
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
  QUANTC_ASSIGN(const Target target, bestTarget(input.opened.data));
  CalibrationOptions options{.sequences = std::move(sequences),
                             .predecessors = needs.quantizedInputs ? Predecessors::Quantized : Predecessors::Original,
                             .hessian = needs.hessian,
                             .threads = input.threads,
                             .scratch = scratchFolder(input.output),
                             .memory = &workspace};
  Digest digest;
  for (const std::vector<int32_t> &sequence : options.sequences)
    digest.add(std::as_bytes(std::span(sequence)));
  Learned learned{.data = digest.text()};
  if (needs.heldOut) {
    QUANTC_ASSIGN(learned.source, SplitCalibration::create(input.module, input.store, target, std::move(options)));
  } else {
    QUANTC_ASSIGN(learned.source,
                  Calibrator::create(ModuleOp(input.module).clone(), input.store, target, std::move(options)));
  }
  return learned;
}

/// A sum of T numbers in f32 can be off by T / 2^24 of their sizes: from here on by a quarter.
static constexpr uint64_t manyTokens = uint64_t(1) << 22;

void quantc::noteTokens(uint64_t tokens, const std::function<void(const std::string &)> &note) {
  if (tokens > manyTokens && note)
    note(fmt::format("statistics are sums in f32, which can lose digits over {} tokens: take fewer --calib-sequences",
                     tokens));
}

/// Whether a file has statistics, rather than text.
static bool isStatistics(const std::filesystem::path &file) {
  return llvm::is_contained({".safetensors", ".gguf", ".dat"}, file.extension());
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
  if (text.file.empty() && choices.note)
    choices.note(fmt::format("method '{}' learns from the text that comes with quantc; name one like yours by --calib",
                             choices.names));
  QUANTC_ASSIGN(CalibrationData data, readCalibration(text, input.model, input.module));
  noteTokens(data.tokens(), choices.note);
  return std::move(data.sequences);
}

/// What methods learn from: these sequences, a file of statistics where there are none, or nothing.
static Result<Learned> learn(const MethodInput &input, const MethodNeeds &needs, const MethodChoices &choices,
                             std::vector<std::vector<int32_t>> sequences, Workspace &workspace) {
  if (!sequences.empty())
    return Workspace::guard([&] { return learnFromText(input, needs, std::move(sequences), workspace); });
  if (needs.statistics)
    return learnFromFile(choices.calibration.file, workspace);
  return Learned();
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
static Status splitOutliers(const MethodInput &input, const MethodChoices &choices, Workspace &workspace) {
  const MethodNeeds needs{.statistics = true, .hessian = false};
  QUANTC_ASSIGN(auto sequences, calibrationSequences(input, needs, choices));
  QUANTC_ASSIGN(const Learned learned, learn(input, needs, choices, std::move(sequences), workspace));
  FirstError first(input.opened.context.get());
  PassManager manager(input.opened.context.get());
  manager.addPass(createSplitOutliersPass(*learned.source, choices.outlierThreshold));
  return failed(manager.run(input.module)) ? first.error("method 'llm-int8'") : Status();
}

Result<std::unique_ptr<Spool>> quantc::quantizeWeights(const MethodInput &input, const MethodChoices &choices,
                                                       bool leavePlain, const EncodeProgress &progress) {
  QUANTC_ASSIGN(const MethodNames names, parseMethods(choices.names));
  const std::vector<std::string> &methods = names.weights;
  QUANTC_TRY(checkChoices(input, methods, choices));
  const MethodNeeds needs = needsOf(methods, choices);
  if (names.llmInt8 && needs.statistics && isStatistics(choices.calibration.file))
    return fail("method '{}' learns from inputs without their outliers: give the text itself by --calib, not {}",
                choices.names, choices.calibration.file.string());
  std::vector<std::vector<int32_t>> sequences;
  if (needs.statistics || !names.llmInt8) { // else only outliers are found in a text
    QUANTC_ASSIGN(sequences, calibrationSequences(input, needs, choices));
  }
  QUANTC_ASSIGN(const QuantizePlan plan, planWeights(input, choices, methods, lengthsOf(sequences), PlanOf::Memory));
  Workspace workspace(scratchFolder(input.output), plan.arrays); // outlives what is learned
  if (names.llmInt8)
    QUANTC_TRY(splitOutliers(input, choices, workspace));
  QUANTC_ASSIGN(const Learned learned, learn(input, needs, choices, std::move(sequences), workspace));
  std::unique_ptr<Spool> spool;
  if (learned.source) {
    QUANTC_ASSIGN(spool, openSpool(input, choices, learned.data));
  }
  MethodOptions options;
  options.damp = choices.gptq.damp;
  options.actOrder = choices.gptq.actOrder;
  options.plain = choices.gptq.plain;
  options.scales = choices.gptq.scales;
  options.groups = choices.gptq.groups;
  options.grid = choices.gptq.grid;
  options.block = choices.gptq.block;
  options.heldOut = choices.heldOut;
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
