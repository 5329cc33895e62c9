//===- WeightsPlan.cpp - memory, disk and time of the methods ---------------------------------------------------===//

#include "WeightsPlan.h"
#include "ChooseTargets.h"
#include "quantc/Calibrate/Footprint.h"
#include "quantc/Encode/Encode.h"
#include "quantc/Format/PackedFields.h"
#include "quantc/Import/BoundWeight.h"
#include "quantc/Methods/Awq.h"
#include "quantc/Methods/Gptq.h"
#include "quantc/Runtime/Measure.h"
#include "quantc/Runtime/Memory.h"
#include "quantc/Transforms/Observers.h"
#include "quantc/Transforms/Weights.h"
#include <chrono>
#include <numeric>
#include <random>
#include <thread>

using namespace mlir;
using namespace quantc;

//===- What is known of the phases ------------------------------------------------------------------------------===//

/// Shares of the f32 peak that phases reach, by bench-observe and bench-gptq (features 2048 and 5632, two threads) and
/// a calibration of two layers: bench/results/gptq-epyc-zen4-2026-11-29.txt. Times are forecasts.
static constexpr double productsShare = 0.7, factorShare = 0.22, feedbackShare = 0.1, refitShare = 0.34;

/// Bytes that the process takes beyond what it has when it plans: code of the kernels, buffers of files and threads.
static constexpr uint64_t otherMemory = 6 << 20;

/// Bytes of the child that generates the kernels of calibration, while nothing else is there yet.
static constexpr uint64_t codeMemory = 32 << 20;

/// Numbers of a weight that is rounded to nearest while it is written (lib/Export/Quantize.cpp).
static constexpr double writtenNumbers = (64 << 20) / sizeof(float);

/// Rows that one thread takes at a time.
static constexpr int64_t tileRows = 128;

namespace {

/// A weight that is to be quantized.
struct PlannedWeight {
  std::string name, observer; ///< observer: empty where no method learns of its input
  std::shared_ptr<const Format> format;
  int64_t N, K;

  double numbers() const { return double(N) * double(K); }
};

class Planner {
public:
  Planner(const MethodInput &input, const MethodChoices &choices, ArrayRef<std::string> methods,
          ArrayRef<int64_t> lengths)
      : input(input), choices(choices), methods(methods), lengths(lengths), needs(needsOf(methods, choices)),
        threads(threadsOf(input.threads)) {}
  Result<QuantizePlan> run(PlanOf what);

private:
  void findWeights();
  Status findStages();
  uint64_t windowBytes(const PlannedWeight &weight, int64_t rows) const;
  uint64_t searchBytes(StringRef observer) const;
  int64_t leastRows(const PlannedWeight &weight) const;
  uint64_t memoryWith(int64_t window) const;
  uint64_t arraysOf(const StageFootprint &stage) const;
  Status fit();
  void addDisk();
  Status addTimes();
  bool uses(StringRef method) const { return llvm::is_contained(methods, method); }

  const MethodInput &input;
  const MethodChoices &choices;
  const ArrayRef<std::string> methods;
  const ArrayRef<int64_t> lengths;
  const MethodNeeds needs;
  const unsigned threads;
  std::vector<PlannedWeight> weights;
  std::vector<StageFootprint> stages;
  uint64_t fixed = 0, buffers = 0;
  QuantizePlan plan;
};

} // namespace

void Planner::findWeights() {
  const llvm::StringMap<std::string> observers = observersOf(input.module);
  for (nn::WeightOp weight : matrices(input.module)) {
    const auto format = weight->getAttrOfType<TypeAttr>(nn::formatAttrName);
    auto elem = format ? dyn_cast<qf::ElemType>(format.getValue()) : qf::ElemType();
    const auto type = cast<RankedTensorType>(weight.getType());
    if (!elem)
      continue;
    const auto observer = observers.find(weight.getSymName());
    weights.push_back({weight.getSymName().str(),
                       needs.statistics && observer != observers.end() ? observer->second : "", elem.getFormat(),
                       type.getDimSize(0), type.getDimSize(1)});
  }
}

/// Only a text is run; statistics in files stand there already, and are read input by input.
Status Planner::findStages() {
  if (!needs.statistics || lengths.empty())
    return {};
  const OwningOpRef<ModuleOp> graph = ModuleOp(input.module).clone();
  QUANTC_ASSIGN(const auto program, FloatProgram::outline(*graph, /*hessian=*/true));
  QUANTC_ASSIGN(const Target target, bestTarget(input.opened.data));
  QUANTC_ASSIGN(stages,
                calibrationFootprint(*program, *graph, target.rows, lengths, needs.quantizedInputs || needs.heldOut));
  // What is held out has a calibration of its own.
  for (const StageFootprint &stage : stages)
    buffers = std::max(buffers, stage.buffers * (needs.heldOut ? 2 : 1));
  return {};
}

//===- Memory ---------------------------------------------------------------------------------------------------===//

/// What a window of so many rows takes: their values, fields (eight bytes each) and, in each thread, a tile of them.
uint64_t Planner::windowBytes(const PlannedWeight &w, int64_t rows) const {
  double fields = 0;
  for (const Field &field : w.format->fields())
    fields += field.rows == 1 && field.columns == 1 ? 1
              : field.rows && field.columns         ? 1.0 / double(field.rows * field.columns)
                                                    : 0;
  const double perNumber = sizeof(float) + 8 * std::max(1.0, fields);
  // A tile of GPTQ has weights (f64), differences and terms; one of the importance matrix five candidates.
  const double perTile = uses("gptq") || uses("auto") ? 24 : uses("imatrix") ? 40 : 16;
  const double tiles = double(std::min<int64_t>(threads, (rows + tileRows - 1) / tileRows)) * tileRows;
  const double packed = 2.0 * double(packedFieldBytes(*w.format, w.N, w.K));
  return static_cast<uint64_t>(double(w.K) * (double(rows) * perNumber + tiles * perTile) + packed);
}

int64_t Planner::leastRows(const PlannedWeight &w) const {
  const int64_t unit = packedRowUnit(*w.format, w.N, w.K);
  return unit < w.N ? std::min(w.N, std::lcm(unit, tileRows)) : w.N;
}

/// What the search for factors of an input takes: rows of its weights that judge, and what is made of those that are
/// quantized at once.
uint64_t Planner::searchBytes(StringRef observer) const {
  uint64_t bytes = 0, most = 0, linears = 0;
  AwqOptions search;
  if (uses("gptq"))
    search.weights = 0;
  for (const PlannedWeight &w : weights) {
    if (w.observer != observer)
      continue;
    const int64_t rows = std::min(w.N, search.rowsOf(w.K));
    const uint64_t values = static_cast<uint64_t>(rows * w.K) * sizeof(float);
    bytes += values;
    // The scaled values, what they become, and a product of differences.
    most = std::max(most, 3 * values + windowBytes(w, rows));
    ++linears;
  }
  const bool oneByOne = uses("gptq"); // exponents; else all at once
  return bytes + most * (oneByOne ? std::min<uint64_t>(linears, threads) : threads);
}

/// Beside the arrays.
uint64_t Planner::memoryWith(int64_t window) const {
  uint64_t most = 0;
  for (const PlannedWeight &w : weights) {
    const int64_t least = leastRows(w);
    const int64_t rows = std::min(w.N, std::max<int64_t>(1, window / w.K / least) * least);
    uint64_t bytes = windowBytes(w, rows);
    if (w.observer.empty())
      bytes = static_cast<uint64_t>(std::min(w.numbers(), writtenNumbers) * w.format->bitsPerWeight(w.N, w.K) / 8);
    if (uses("awq") && !w.observer.empty())
      bytes = std::max(bytes, searchBytes(w.observer));
    most = std::max(most, bytes);
  }
  if (input.isDirectory)
    for (const PlannedWeight &w : weights)
      most =
          std::max(most, static_cast<uint64_t>(std::min(w.N * w.K, DirectoryMemory::numbers)) * DirectoryMemory::bytes);
  return fixed + buffers + most;
}

/// The f32 weights of a stage, the Hessians of its inputs, and what methods make of the largest: of inputs that are
/// divided by factors, another; for feedback, a factored one and a damped one.
uint64_t Planner::arraysOf(const StageFootprint &stage) const {
  uint64_t bytes = stage.weights, largest = 0;
  for (const auto &[name, K] : stage.observers) {
    const uint64_t square = static_cast<uint64_t>(K) * static_cast<uint64_t>(K);
    bytes += square * sizeof(float);
    largest = std::max(largest, square);
  }
  if (needs.heldOut)
    bytes *= 2;
  if (uses("awq"))
    bytes += largest * sizeof(float) * (needs.heldOut ? 2 : 1);
  if (uses("gptq") || uses("auto"))
    bytes += largest * (sizeof(double) + sizeof(float));
  return bytes;
}

uint64_t quantc::memoryOfProcess() {
  return privateMemory() + otherMemory + codeMemory;
}

unsigned quantc::threadsOf(unsigned threads) {
  return threads ? threads : std::max(1u, std::thread::hardware_concurrency());
}

Result<uint64_t> quantc::memoryFor(uint64_t given, uint64_t free, uint64_t least, unsigned threads,
                                   const std::function<void(const std::string &)> &note) {
  const double megabytes = std::ceil(double(least) / 1e6);
  if (given && given < least)
    return fail(
        "a memory budget of {:.0f} MB is too small: this takes at least {:.0f} MB ({} threads; fewer take less)",
        double(given) / 1e6, megabytes, threads);
  if (!given && free < least && note)
    note(fmt::format("this takes at least {:.0f} MB of memory with {} threads, {:.0f} MB are free: it may be slow, or "
                     "be ended by the system; fewer --threads take less",
                     megabytes, threads, double(free) / 1e6));
  return given ? given : std::max(free, least);
}

Status Planner::fit() {
  uint64_t arrays = 0;
  for (const StageFootprint &stage : stages)
    arrays = std::max(arrays, arraysOf(stage));
  if (stages.empty() && needs.hessian && choices.calibration.file.extension() == ".safetensors")
    for (const PlannedWeight &w : weights)
      if (!w.observer.empty())
        arrays = std::max(arrays, arraysOf({.observers = {{w.observer, w.K}}}));
  plan.window = MaterializeOptions().window;
  const uint64_t compiling = stages.empty() ? 0 : fixed + codeMemory;
  plan.leastMemory = std::max(memoryWith(0), compiling);
  QUANTC_ASSIGN(const uint64_t budget,
                memoryFor(choices.memoryBudget, availableMemory(), plan.leastMemory, threads, choices.note));
  // Large windows bring little: the arrays take what they would.
  const uint64_t room = budget - memoryWith(0);
  while (plan.window > tileRows && memoryWith(plan.window) - memoryWith(0) > room / 4)
    plan.window /= 2;
  const uint64_t rest = memoryWith(plan.window);
  plan.arrays = budget - std::min(budget, rest);
  plan.memory = std::max(rest + std::min(arrays, plan.arrays), compiling);
  plan.scratch += arrays - std::min(arrays, plan.arrays);
  return {};
}

//===- Disk and time --------------------------------------------------------------------------------------------===//

void Planner::addDisk() {
  double packed = 0, written = 0;
  for (const PlannedWeight &w : weights) {
    written += w.format->bitsPerWeight(w.N, w.K) * w.numbers() / 8;
    if (!w.observer.empty())
      packed += double(packedFieldBytes(*w.format, w.N, w.K));
  }
  plan.output = static_cast<uint64_t>(written);
  // Finished weights are kept to go on from after a kill, and until the output is written.
  plan.scratch += static_cast<uint64_t>(2 * packed);
  uint64_t saved = 0, hidden = 0;
  for (const StageFootprint &stage : stages) {
    saved = std::max(saved, stage.saved);
    for (const auto &[name, K] : stage.observers)
      hidden = hidden ? hidden : static_cast<uint64_t>(K);
  }
  const auto tokens = std::accumulate(lengths.begin(), lengths.end(), int64_t(0));
  plan.scratch += saved + static_cast<uint64_t>(tokens) * hidden * sizeof(float);
}

double quantc::secondsToEncode(const Format &format, int64_t N, int64_t K) {
  const int64_t rows = std::min<int64_t>(N, format.block() ? 4 * format.block()->rows : 4);
  std::mt19937 engine(1);
  std::normal_distribution<float> normal;
  std::vector<float> numbers(rows * K);
  for (float &number : numbers)
    number = normal(engine);
  const auto began = std::chrono::steady_clock::now();
  if (!encode(format, numbers, rows, K))
    return 0;
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count() / double(rows * K);
}

Status Planner::addTimes() {
  QUANTC_ASSIGN(const auto pool, ThreadPool::create(threads));
  plan.peak = arithmeticPeak(*pool);
  const double tokens = std::accumulate(lengths.begin(), lengths.end(), 0.0);
  double forward = 0, products = 0, factor = 0, feedback = 0, refit = 0, encoding = 0;
  for (const StageFootprint &stage : stages) {
    forward += stage.operations;
    for (const auto &[name, K] : stage.observers) {
      products += double(K) * double(K + 1) * tokens;
      factor += 2.0 / 3 * double(K) * double(K) * double(K);
    }
  }
  llvm::StringMap<double> rates;
  for (const PlannedWeight &w : weights) {
    auto [rate, isNew] = rates.try_emplace(fmt::format("{} {}", w.format->spec(), w.K), 0);
    if (isNew)
      rate->second = secondsToEncode(*w.format, w.N, w.K);
    encoding += rate->second * w.numbers() / threads;
    if (w.observer.empty() || !(uses("gptq") || uses("auto")))
      continue;
    feedback += w.numbers() * double(w.K);
    if (!choices.gptq.plain)
      refit += 2.0 * GptqOptions().sweeps * w.numbers() * double(w.K);
  }
  if (!uses("gptq") && !uses("auto"))
    factor = 0;
  auto add = [&](const char *name, double operations, double share) {
    if (operations > 0)
      plan.phases.push_back({name, operations, operations / (plan.peak * share)});
  };
  add("run the model", forward, forwardShare);
  add("sum products of inputs", products, productsShare);
  add("factor their matrices", factor, factorShare);
  add("round with feedback", feedback, feedbackShare);
  add("fit scales and codes again", refit, refitShare);
  plan.phases.push_back({"find scales and codes", 0, encoding});
  return {};
}

Result<QuantizePlan> Planner::run(PlanOf what) {
  findWeights();
  QUANTC_TRY(findStages());
  uint64_t reading = 0;
  for (const CheckpointTensor &tensor : input.opened.checkpoint->tensors())
    reading = std::max(reading, tensor.bound ? tensor.bound->memory() : 0);
  fixed = privateMemory() + otherMemory + reading;
  QUANTC_TRY(fit());
  addDisk();
  if (what == PlanOf::MemoryAndTimes)
    QUANTC_TRY(addTimes());
  return std::move(plan);
}

double QuantizePlan::seconds() const {
  double sum = 0;
  for (const PlanPhase &phase : phases)
    sum += phase.seconds;
  return sum;
}

Result<QuantizePlan> quantc::planWeights(const MethodInput &input, const MethodChoices &choices,
                                         ArrayRef<std::string> methods, ArrayRef<int64_t> lengths, PlanOf what) {
  return Planner(input, choices, methods, lengths).run(what);
}
