//===- QuantizeWeights.cpp - the phase that executes methods -----------------------------------------------------===//

#include "QuantizeWeights.h"
#include "ImatrixSource.h"
#include "quantc/Calibrate/Calibrator.h"
#include "quantc/Driver/Models.h"
#include "quantc/Pipelines/FirstError.h"
#include "quantc/Pipelines/Pipelines.h"
#include "quantc/Transforms/StatisticsFile.h"

using namespace mlir;
using namespace quantc;

/// Null where methods need nothing.
static Result<std::unique_ptr<StatisticsSource>> openStatistics(const MethodInput &input, const MethodNeeds &needs,
                                                                const MethodChoices &choices) {
  const std::filesystem::path &file = choices.calibration.file;
  if (!needs.statistics && !file.empty())
    return fail("method '{}' learns nothing from a text: leave --calib out, or name another --method", choices.names);
  if (!needs.statistics)
    return std::unique_ptr<StatisticsSource>();
  if (file.empty())
    return fail("method '{}' learns from activations: name a text by --calib, or statistics of `quantc calibrate`",
                choices.names);
  if (file.extension() == ".safetensors")
    return StatisticsFile::open(file);
  if (file.extension() == ".gguf" || file.extension() == ".dat")
    return ImatrixSource::open(file);
  QUANTC_ASSIGN(auto graph, input.opened.graph());
  QUANTC_ASSIGN(const std::unique_ptr<Tokenizer> tokenizer, loadTokenizer(input.model));
  QUANTC_ASSIGN(const Target target, bestTarget(input.opened.data));
  CalibrationOptions calibration{.predecessors =
                                     needs.quantizedInputs ? Predecessors::Quantized : Predecessors::Original,
                                 .threads = input.threads,
                                 .scratch = std::filesystem::temp_directory_path()};
  QUANTC_ASSIGN(calibration.sequences, readSequences(choices.calibration, *tokenizer));
  return Calibrator::create(std::move(graph), input.store, target, std::move(calibration));
}

Status quantc::quantizeWeights(const MethodInput &input, const MethodChoices &choices, bool leavePlain,
                               const EncodeProgress &progress) {
  QUANTC_ASSIGN(const std::vector<std::string> methods, parseMethods(choices.names));
  QUANTC_ASSIGN(const auto statistics, openStatistics(input, needsOf(methods), choices));
  MethodOptions options;
  options.damp = choices.gptq.damp;
  options.actOrder = choices.gptq.actOrder;
  options.plain = choices.gptq.plain;
  options.scales = choices.gptq.scales;
  options.diagonal = statistics && !statistics->hasHessians();
  FirstError first(input.opened.context.get());
  PassManager manager(input.opened.context.get());
  buildMethodPipeline(
      manager, methods, options,
      createMaterializePass(
          input.store,
          {.statistics = statistics.get(), .threads = input.threads, .leavePlain = leavePlain, .progress = progress}));
  if (failed(manager.run(input.module)))
    return first.error("encode");
  return {};
}
