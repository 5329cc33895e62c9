//===- Calibrate.cpp - statistics of a model's activations on a text --------------------------------------------===//

#include "quantc/Driver/Calibrate.h"
#include "CalibrationInput.h"
#include "ChooseTargets.h"
#include "ImatrixSource.h"
#include "Resume.h"
#include "WeightsPlan.h"
#include "quantc/Dialect/NN/NN.h"
#include "quantc/Driver/Models.h"
#include "quantc/Methods/StatisticsFile.h"
#include "quantc/Support/Files.h"
#include "quantc/Support/Workspace.h"
#include "quantc/Transforms/Observers.h"
#include "llvm/ADT/StringSet.h"
#include <algorithm>
#include <cstring>

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

/// Statistics of a calibrator, each kept once it is known, and taken from there where a process before was killed.
class Kept : public StatisticsSource {
public:
  Kept(Calibrator &calibrator, Spool &spool, uint64_t tokens, std::pmr::memory_resource *memory)
      : calibrator(calibrator), spool(spool), tokens(tokens), memory(memory) {}
  bool hasHessians() const override { return calibrator.hasHessians(); }
  Status replaced(const std::string &, const ReadRows &) override { return {}; }
  Result<std::shared_ptr<const InputStatistics>> of(const std::string &observer, bool hessian) override;

private:
  Result<std::shared_ptr<const InputStatistics>> read(const std::string &observer, bool hessian,
                                                      std::span<const std::byte> columns);
  Status goOn(const std::string &observer);
  Status keepPassed();

  Calibrator &calibrator;
  Spool &spool;
  uint64_t tokens;
  std::pmr::memory_resource *memory;
  bool begun = false;
  std::vector<size_t> kept; ///< stages behind which activations are kept: two at most
};
} // namespace

static std::string passedPart(size_t stages) {
  return fmt::format("passed.{}", stages);
}

static std::vector<float> floatsOf(std::span<const std::byte> bytes) {
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

Result<std::shared_ptr<const InputStatistics>> Kept::read(const std::string &observer, bool hessian,
                                                          std::span<const std::byte> columns) {
  auto found = std::make_shared<InputStatistics>();
  const size_t row = columns.size() / 3;
  const int64_t K = found->K = static_cast<int64_t>(row / sizeof(float));
  found->tokens = tokens;
  found->meanAbs = floatsOf(columns.subspan(0, row));
  found->meanSquare = floatsOf(columns.subspan(row, row));
  found->maxAbs = floatsOf(columns.subspan(2 * row, row));
  if (!hessian)
    return found;
  QUANTC_ASSIGN(const auto products, spool.find((hessianPrefix + observer).str()));
  const auto numbers = static_cast<size_t>(K * K);
  if (!products || products->size() != numbers * sizeof(float))
    return fail("what was finished of {} is not whole; give --fresh", observer);
  std::pmr::vector<float> means(numbers, memory);
  std::memcpy(means.data(), products->data(), products->size());
  return std::make_shared<const InputStatistics>(InputStatistics{.K = K,
                                                                 .tokens = tokens,
                                                                 .hessian = std::move(means),
                                                                 .meanAbs = std::move(found->meanAbs),
                                                                 .meanSquare = std::move(found->meanSquare),
                                                                 .maxAbs = std::move(found->maxAbs)});
}

/// The first that is not kept: the model is run from its stage on, where what enters that is kept, else from its
/// beginning.
Status Kept::goOn(const std::string &observer) {
  if (std::exchange(begun, true))
    return {};
  QUANTC_ASSIGN(const size_t stage, calibrator.stageOf(observer));
  QUANTC_ASSIGN(const auto passed, spool.find(passedPart(stage)));
  if (!passed)
    return {};
  kept = {stage};
  return calibrator.resume(stage, *passed);
}

/// A stage of which some statistics are not kept yet is begun again: what enters it stays until the next one is done.
Status Kept::keepPassed() {
  const size_t stages = calibrator.stagesDone();
  if (!kept.empty() && kept.back() == stages)
    return {};
  QUANTC_TRY(spool.put(passedPart(stages), calibrator.passed()));
  kept.push_back(stages);
  if (kept.size() > 2) {
    QUANTC_TRY(spool.drop(passedPart(kept.front())));
    kept.erase(kept.begin());
  }
  return {};
}

Result<std::shared_ptr<const InputStatistics>> Kept::of(const std::string &observer, bool hessian) {
  const std::string part = (columnsPrefix + observer).str();
  QUANTC_ASSIGN(const auto known, spool.find(part));
  if (known)
    return read(observer, hessian, *known);
  QUANTC_TRY(goOn(observer));
  QUANTC_ASSIGN(auto found, calibrator.of(observer, hessian));
  QUANTC_TRY(keepPassed());
  if (hessian)
    QUANTC_TRY(spool.put((hessianPrefix + observer).str(), std::as_bytes(std::span(found->hessian))));
  // Last: where it is, all is.
  std::vector<float> columns = found->meanAbs;
  columns.insert(columns.end(), found->meanSquare.begin(), found->meanSquare.end());
  columns.insert(columns.end(), found->maxAbs.begin(), found->maxAbs.end());
  QUANTC_TRY(spool.put(part, std::as_bytes(std::span(columns))));
  return found;
}

namespace {
/// A model and a text, before anything is run.
struct Task {
  OpenedModel opened;
  mlir::OwningOpRef<mlir::ModuleOp> graph;
  Target target;
  fs::path folder;
  std::unique_ptr<WeightStore> store;
  CalibrationText text;
  CalibrationData data;
  bool hessian;
  QuantizePlan plan;
};
} // namespace

static Result<Task> openTask(const CalibrateOptions &options, PlanOf what) {
  QUANTC_TRY(checkOutput(options.output, options.model));
  Task task;
  QUANTC_ASSIGN(task.opened, openModel(options.model, options.formatFiles));
  QUANTC_ASSIGN(task.graph, task.opened.graph());
  QUANTC_ASSIGN(task.target, bestTarget(task.opened.data));
  task.folder = scratchFolder(options.output);
  QUANTC_ASSIGN(task.store,
                WeightStore::create(task.opened.checkpoint, task.target.rows, task.folder, options.threads));
  task.hessian = options.hessian && !imatrixKind(options.output);
  task.text = options.text;
  QUANTC_ASSIGN(task.data, readCalibration(task.text, options.model, *task.graph));
  noteTokens(task.data.tokens(), options.note);
  // As a method that learns from the text, for no weights.
  QUANTC_ASSIGN(task.plan, planWeights({task.opened, *task.graph, *task.store, options.model, options.output,
                                        options.formatFiles, options.threads},
                                       {.memoryBudget = options.memoryBudget, .note = options.note}, {"imatrix"},
                                       lengthsOf(task.data.sequences), what));
  return task;
}

static llvm::ArrayRef<int64_t> embeddingShape(const Task &task) {
  mlir::ModuleOp graph = *task.graph;
  return mlir::cast<mlir::RankedTensorType>(graph.lookupSymbol<nn::WeightOp>("token_embd").getType()).getShape();
}

Result<QuantizePlan> quantc::planCalibration(const CalibrateOptions &options) {
  QUANTC_ASSIGN(const Task task, openTask(options, PlanOf::MemoryAndTimes));
  QuantizePlan plan = task.plan;
  std::erase_if(plan.phases, [&](const PlanPhase &phase) {
    return phase.seconds == 0 || (!task.hessian && phase.name.starts_with("sum products"));
  });
  const mlir::OwningOpRef<mlir::ModuleOp> graph = mlir::ModuleOp(*task.graph).clone();
  QUANTC_ASSIGN(const auto program, FloatProgram::outline(*graph, task.hessian));
  llvm::StringSet<> seen;
  for (const auto &entry : program->observers())
    if (seen.insert(entry.second).second) {
      const auto K = static_cast<uint64_t>(program->featuresOf(entry.second));
      plan.output += (3 * K + (task.hessian ? K * K : 0)) * sizeof(float);
    }
  // What is kept to go on from after a kill: the statistics, and activations behind two blocks.
  plan.scratch += plan.output + 2 * task.data.tokens() * static_cast<uint64_t>(embeddingShape(task)[1]) * sizeof(float);
  return plan;
}

Result<CalibrateReport> quantc::calibrateModel(const CalibrateOptions &options) {
  QUANTC_ASSIGN(Task task, openTask(options, PlanOf::Memory));
  const uint64_t tokens = task.data.tokens();
  CalibrateReport report{.sequences = task.data.sequences.size(),
                         .tokens = tokens,
                         .available = task.data.available,
                         .distinct = task.data.distinctTokens(),
                         .vocabulary = static_cast<uint64_t>(embeddingShape(task)[0])};
  Digest sequences;
  for (const std::vector<int32_t> &sequence : task.data.sequences)
    sequences.add(std::as_bytes(std::span(sequence)));
  QUANTC_ASSIGN(const auto spool, openSpool({.opened = task.opened,
                                             .module = *task.graph,
                                             .formatFiles = options.formatFiles,
                                             .output = options.output,
                                             .options = fmt::format("calibrate {} {}", task.hessian, sequences.text()),
                                             .fresh = options.fresh,
                                             .note = options.note}));
  Workspace workspace(task.folder, task.plan.arrays); // outlives the calibrator
  CalibrationOptions calibration{.sequences = std::move(task.data.sequences),
                                 .hessian = task.hessian,
                                 .threads = options.threads,
                                 .scratch = task.folder,
                                 .memory = &workspace,
                                 .progress = options.progress};
  const llvm::StringMap<std::string> observerOf = observersOf(*task.graph);
  QUANTC_ASSIGN(const auto calibrator,
                Calibrator::create(std::move(task.graph), *task.store, task.target, std::move(calibration)));
  const auto observers = calibrator->observers();
  report.observers = observers.size();
  for (const auto &[name, K] : observers)
    report.features += K;
  Kept kept(*calibrator, *spool, tokens, &workspace);
  Watched watched(kept);
  if (const auto matrix = imatrixKind(options.output)) {
    QUANTC_TRY(writeImatrix(options.output, *matrix, watched, observers, observerOf, task.text.file,
                            static_cast<uint32_t>(task.text.length)));
  } else {
    QUANTC_TRY(writeStatistics(options.output, watched, observers, options.hessian, tokens));
  }
  QUANTC_TRY(spool->remove());
  report.silent = watched.silent;
  return report;
}
