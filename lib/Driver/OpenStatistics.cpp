//===- OpenStatistics.cpp - what methods learn from, by the options of a command --------------------------------===//

#include "OpenStatistics.h"
#include "quantc/Calibrate/Calibrator.h"
#include "quantc/Driver/Models.h"
#include "quantc/Transforms/StatisticsFile.h"

using namespace quantc;

Result<std::unique_ptr<StatisticsSource>> quantc::openStatistics(const OpenedModel &model, const WeightStore &store,
                                                                 const MethodNeeds &needs,
                                                                 const CompileOptions &options,
                                                                 const std::filesystem::path &scratch) {
  if (!needs.columns)
    return std::unique_ptr<StatisticsSource>();
  if (options.calibration.file.empty())
    return fail("method '{}' learns from activations: name a text by --calib, or statistics of `quantc calibrate`",
                options.method);
  if (options.calibration.file.extension() == ".safetensors")
    return StatisticsFile::open(options.calibration.file);
  QUANTC_ASSIGN(auto graph, model.graph());
  QUANTC_ASSIGN(const std::unique_ptr<Tokenizer> tokenizer, loadTokenizer(options.model));
  QUANTC_ASSIGN(const Target target, bestTarget(model.data));
  CalibrationOptions calibration{.predecessors = needs.quantizedInputs ? Predecessors::Quantized
                                                                       : Predecessors::Original,
                                 .hessian = needs.hessian,
                                 .threads = options.threads,
                                 .scratch = scratch};
  QUANTC_ASSIGN(calibration.sequences, readSequences(options.calibration, *tokenizer));
  return Calibrator::create(std::move(graph), store, target, std::move(calibration));
}
