//===- Calibrate.cpp - statistics of a model's activations on a text --------------------------------------------===//

#include "quantc/Driver/Calibrate.h"
#include "OpenModel.h"
#include "quantc/Driver/Models.h"
#include "quantc/Support/Files.h"
#include "quantc/Transforms/StatisticsFile.h"

using namespace quantc;
namespace fs = std::filesystem;

Result<CalibrateReport> quantc::calibrateModel(const CalibrateOptions &options) {
  QUANTC_TRY(checkOutput(options.output, options.model));
  QUANTC_ASSIGN(const OpenedModel opened, openModel(options.model, options.formatFiles));
  QUANTC_ASSIGN(auto graph, opened.graph());
  QUANTC_ASSIGN(const std::unique_ptr<Tokenizer> tokenizer, loadTokenizer(options.model));
  QUANTC_ASSIGN(const Target target, bestTarget(opened.data));
  const fs::path folder = options.output.has_parent_path() ? options.output.parent_path() : fs::path(".");
  QUANTC_ASSIGN(const auto store, WeightStore::create(opened.checkpoint, target.rows, folder, options.threads));
  CalibrationOptions calibration{
      .hessian = options.hessian, .threads = options.threads, .scratch = folder, .progress = options.progress};
  QUANTC_ASSIGN(calibration.sequences, readSequences(options.text, *tokenizer));
  CalibrateReport report{.sequences = calibration.sequences.size()};
  for (const auto &sequence : calibration.sequences)
    report.tokens += sequence.size();
  QUANTC_ASSIGN(const auto calibrator, Calibrator::create(std::move(graph), *store, target, std::move(calibration)));
  const auto observers = calibrator->observers();
  report.observers = observers.size();
  QUANTC_TRY(writeStatistics(options.output, *calibrator, observers, options.hessian, report.tokens));
  return report;
}
