//===- Calibrate.cpp - statistics of a model's activations on a text --------------------------------------------===//

#include "quantc/Driver/Calibrate.h"
#include "ImatrixSource.h"
#include "OpenModel.h"
#include "quantc/Driver/Models.h"
#include "quantc/Support/Files.h"
#include "quantc/Transforms/Observers.h"
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
  const std::optional<ImatrixKind> matrix = imatrixKind(options.output);
  CalibrationOptions calibration{.hessian = options.hessian && !matrix,
                                 .threads = options.threads,
                                 .scratch = folder,
                                 .progress = options.progress};
  QUANTC_ASSIGN(calibration.sequences, readSequences(options.text, *tokenizer));
  CalibrateReport report{.sequences = calibration.sequences.size()};
  for (const auto &sequence : calibration.sequences)
    report.tokens += sequence.size();
  const llvm::StringMap<std::string> observerOf = observersOf(*graph);
  QUANTC_ASSIGN(const auto calibrator, Calibrator::create(std::move(graph), *store, target, std::move(calibration)));
  const auto observers = calibrator->observers();
  report.observers = observers.size();
  if (matrix) {
    QUANTC_TRY(writeImatrix(options.output, *matrix, *calibrator, observers, observerOf, options.text.file,
                            static_cast<uint32_t>(options.text.length)));
  } else {
    QUANTC_TRY(writeStatistics(options.output, *calibrator, observers, options.hessian, report.tokens));
  }
  return report;
}
