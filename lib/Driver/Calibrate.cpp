//===- Calibrate.cpp - statistics of a model's activations on a text --------------------------------------------===//

#include "quantc/Driver/Calibrate.h"
#include "CalibrationInput.h"
#include "ChooseTargets.h"
#include "ImatrixSource.h"
#include "WeightsPlan.h"
#include "quantc/Dialect/NN/NN.h"
#include "quantc/Driver/Models.h"
#include "quantc/Methods/StatisticsFile.h"
#include "quantc/Support/Files.h"
#include "quantc/Support/Workspace.h"
#include "quantc/Transforms/Observers.h"
#include <algorithm>

using namespace quantc;
namespace fs = std::filesystem;

namespace {
/// Counts, of what passes, the features that never were anything but 0.
class Watched : public StatisticsSource {
public:
  explicit Watched(StatisticsSource &source) : source(source) {}
  bool hasHessians() const override { return source.hasHessians(); }
  Result<std::shared_ptr<const InputStatistics>> of(const std::string &observer, bool hessian) override {
    auto found = source.of(observer, hessian);
    if (found)
      silent += std::ranges::count((*found)->maxAbs, 0.0f);
    return found;
  }
  Status replaced(const std::string &weight, const ReadRows &read) override { return source.replaced(weight, read); }
  uint64_t silent = 0;

private:
  StatisticsSource &source;
};
} // namespace

Result<CalibrateReport> quantc::calibrateModel(const CalibrateOptions &options) {
  QUANTC_TRY(checkOutput(options.output, options.model));
  QUANTC_ASSIGN(const OpenedModel opened, openModel(options.model, options.formatFiles));
  QUANTC_ASSIGN(auto graph, opened.graph());
  QUANTC_ASSIGN(const Target target, bestTarget(opened.data));
  const fs::path folder = scratchFolder(options.output);
  QUANTC_ASSIGN(const auto store, WeightStore::create(opened.checkpoint, target.rows, folder, options.threads));
  const std::optional<ImatrixKind> matrix = imatrixKind(options.output);
  CalibrationOptions calibration{.hessian = options.hessian && !matrix,
                                 .threads = options.threads,
                                 .scratch = folder,
                                 .progress = options.progress};
  CalibrationText text = options.text;
  QUANTC_ASSIGN(CalibrationData data, readCalibration(text, options.model, *graph));
  const auto embedding = mlir::cast<mlir::RankedTensorType>(graph->lookupSymbol<nn::WeightOp>("token_embd").getType());
  CalibrateReport report{.sequences = data.sequences.size(),
                         .tokens = data.tokens(),
                         .available = data.available,
                         .distinct = data.distinctTokens(),
                         .vocabulary = static_cast<uint64_t>(embedding.getShape()[0])};
  // As a method that learns from the text, for no weights.
  QUANTC_ASSIGN(
      const QuantizePlan plan,
      planWeights({opened, *graph, *store, options.model, options.output, options.formatFiles, options.threads},
                  {.memoryBudget = options.memoryBudget}, {"imatrix"}, lengthsOf(data.sequences)));
  Workspace workspace(folder, plan.arrays); // outlives the calibrator
  calibration.memory = &workspace;
  calibration.sequences = std::move(data.sequences);
  const llvm::StringMap<std::string> observerOf = observersOf(*graph);
  QUANTC_ASSIGN(const auto calibrator, Calibrator::create(std::move(graph), *store, target, std::move(calibration)));
  const auto observers = calibrator->observers();
  report.observers = observers.size();
  for (const auto &[name, K] : observers)
    report.features += K;
  Watched watched(*calibrator);
  if (matrix) {
    QUANTC_TRY(writeImatrix(options.output, *matrix, watched, observers, observerOf, text.file,
                            static_cast<uint32_t>(text.length)));
  } else {
    QUANTC_TRY(writeStatistics(options.output, watched, observers, options.hessian, report.tokens));
  }
  report.silent = watched.silent;
  return report;
}
