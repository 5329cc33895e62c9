//===- Budget.cpp - a format for each tensor, for a size or an error --------------------------------------------===//

#include "quantc/Driver/Budget.h"
#include "BudgetCost.h"
#include "CalibrationInput.h"
#include "Candidates.h"
#include "ChooseTargets.h"
#include "DivergenceMeter.h"
#include "OpenModel.h"
#include "Resume.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Driver/Models.h"
#include "quantc/Encode/Encode.h"
#include "quantc/Policy/Allocation.h"
#include <cmath>
#include <cstring>
#include <fmt/ranges.h>

using namespace mlir;
using namespace quantc;

namespace {
class Planner {
public:
  explicit Planner(const BudgetOptions &options) : options(options) {}
  Result<BudgetPlan> run();

private:
  Status open();
  Status openKept(ModuleOp graph, const std::vector<std::vector<int32_t>> &sequences);
  Result<double> bytesOf(nn::WeightOp weight, const Format &format) const;
  Result<std::span<const float>> roundTrip(nn::WeightOp weight, const Format &format) const;
  Result<double> measured(const std::string &part, const std::function<Result<double>()> &measure);
  Status measureEach();
  Status measureUniform();
  Status addFrontier();
  Result<double> measureChosen(const std::vector<size_t> &chosen);
  Result<double> runChosen(const std::vector<size_t> &chosen);
  Status choose(const Budget &budget);
  Status chooseBySize(double limit);
  Status chooseByDivergence(double limit);
  Items items(bool byDivergence) const;
  void advance(uint64_t stages, const std::string &what);

  const BudgetOptions &options;
  OpenedModel opened;
  std::unique_ptr<WeightStore> store;
  std::unique_ptr<DivergenceMeter> meter;
  std::vector<nn::WeightOp> matrices;
  std::unique_ptr<ScratchFile> scratch;
  std::span<float> values; ///< in that file: room for the largest matrix
  CandidateSet candidates;
  unsigned blockRows = 0;
  double rest = 0, weights = 0; ///< bytes of what is no matrix; numbers in matrices
  uint64_t done = 0, total = 0; ///< stages
  BudgetPlan plan;
};
} // namespace

//===- Set-up ---------------------------------------------------------------------------------------------------===//

Result<std::vector<std::vector<int32_t>>> quantc::measuredSequences(const BudgetOptions &options, ModuleOp graph) {
  CalibrationText text = options.text;
  QUANTC_TRY(fitToModel(text, graph));
  text.length = std::min(text.length, options.tokens);
  text.sequences = std::min(text.sequences, options.tokens / text.length);
  QUANTC_ASSIGN(CalibrationData data, readCalibration(text, options.model, graph));
  return std::move(data.sequences);
}

/// What a measurement depends on; the budget is none of it.
Status Planner::openKept(ModuleOp graph, const std::vector<std::vector<int32_t>> &sequences) {
  Digest digest;
  for (const auto &row : candidates.specs())
    digest.add(fmt::format("{}", fmt::join(row, ",")));
  for (const auto &sequence : sequences)
    digest.add(std::as_bytes(std::span(sequence)));
  std::filesystem::path output = options.output;
  QUANTC_ASSIGN(plan.kept, openSpool({.opened = opened,
                                      .module = graph,
                                      .formatFiles = options.formatFiles,
                                      .output = output += ".budget",
                                      .options = "budget " + digest.text(),
                                      .fresh = options.fresh,
                                      .note = options.note}));
  return {};
}

Status Planner::open() {
  QUANTC_ASSIGN(opened, openModel(options.model, options.formatFiles));
  QUANTC_ASSIGN(candidates, CandidateSet::load(options.candidates, [&](const std::string &spec) {
                  return opened.context->getOrLoadDialect<qf::QFDialect>()->format(spec);
                }));
  QUANTC_ASSIGN(const Target target, bestTarget(opened.data));
  blockRows = target.rows;
  QUANTC_ASSIGN(store,
                WeightStore::create(opened.checkpoint, blockRows, scratchFolder(options.output), options.threads));
  MeterOptions measuring{.scratch = scratchFolder(options.output), .threads = options.threads};
  QUANTC_ASSIGN(const OwningOpRef<ModuleOp> graph, opened.graph());
  QUANTC_ASSIGN(measuring.sequences, measuredSequences(options, *graph));
  for (const auto &sequence : measuring.sequences)
    plan.tokens += static_cast<int64_t>(sequence.size());
  QUANTC_ASSIGN(meter, DivergenceMeter::create(opened, *store, target, measuring));
  matrices = meter->matrices();
  int64_t largest = 1;
  for (nn::WeightOp weight : matrices)
    largest = std::max(largest, cast<RankedTensorType>(weight.getType()).getNumElements());
  QUANTC_ASSIGN(scratch, ScratchFile::create(scratchFolder(options.output)));
  QUANTC_ASSIGN(const std::span<std::byte> room, scratch->allocate(static_cast<uint64_t>(largest) * sizeof(float)));
  values = {reinterpret_cast<float *>(room.data()), static_cast<size_t>(largest)};
  QUANTC_ASSIGN(OwningOpRef<ModuleOp> module, opened.graph());
  QUANTC_TRY(openKept(*module, measuring.sequences));
  for (nn::WeightOp weight : module->getOps<nn::WeightOp>()) {
    const bool isMatrix = llvm::any_of(matrices, [&](nn::WeightOp m) { return m.getSymName() == weight.getSymName(); });
    const double numbers = static_cast<double>(cast<RankedTensorType>(weight.getType()).getNumElements());
    if (isMatrix)
      weights += numbers;
    else if (options.kernelStorage || isa<nn::SourceAttr>(weight.getFrom()))
      rest += numbers * sizeof(float);
  }
  return {};
}

Result<double> Planner::bytesOf(nn::WeightOp weight, const Format &format) const {
  const auto shape = cast<RankedTensorType>(weight.getType()).getShape();
  if (!options.kernelStorage)
    return format.bitsPerWeight(shape[0], shape[1]) * double(shape[0]) * double(shape[1]) / 8;
  auto *dialect = opened.context->getOrLoadDialect<qf::QFDialect>();
  QUANTC_ASSIGN(const auto storage, dialect->kernelStorage(format.spec(), blockRows));
  return static_cast<double>(storage->bytes(shape[0], shape[1]));
}

//===- Measurements ---------------------------------------------------------------------------------------------===//

void Planner::advance(uint64_t stages, const std::string &what) {
  done += stages;
  if (options.progress)
    options.progress(std::min(done, total), total, what);
}

/// The values that rounding to nearest gives a matrix, until it is called again.
Result<std::span<const float>> Planner::roundTrip(nn::WeightOp weight, const Format &format) const {
  const auto shape = cast<RankedTensorType>(weight.getType()).getShape();
  const EncodeSource source{
      .N = shape[0],
      .K = shape[1],
      .read = [&](int64_t row, int64_t count, float *out) { return store->read(weight, row, count, out); },
      .importance = {}};
  QUANTC_TRY(encode(
      format, source,
      [&](const EncodedTile &tile) {
        return decode(format, tile.fields, tile.rows, shape[1], values.data() + tile.row * shape[1]);
      },
      options.threads));
  return values.first(static_cast<size_t>(shape[0] * shape[1]));
}

/// A divergence that is kept once it is known.
Result<double> Planner::measured(const std::string &part, const std::function<Result<double>()> &measure) {
  double value = 0;
  QUANTC_ASSIGN(const auto known, plan.kept->find(part));
  if (known && known->size() == sizeof(value)) {
    std::memcpy(&value, known->data(), sizeof(value));
    return value;
  }
  QUANTC_ASSIGN(value, measure());
  QUANTC_TRY(plan.kept->put(part, std::as_bytes(std::span(&value, 1))));
  return value;
}

Status Planner::measureEach() {
  std::vector<CandidateSet::Formats> tried;
  for (nn::WeightOp weight : matrices) {
    const auto shape = cast<RankedTensorType>(weight.getType()).getShape();
    QUANTC_ASSIGN(tried.emplace_back(), candidates.of(weight.getSymName().str(), shape[0], shape[1]));
    total += tried.back().size() * meter->stagesFrom(weight);
  }
  for (size_t i = 0; i < matrices.size(); ++i) {
    nn::WeightOp weight = matrices[i];
    BudgetTensor &tensor = plan.tensors.emplace_back(BudgetTensor{.name = weight.getSymName().str()});
    tensor.shape = cast<RankedTensorType>(weight.getType()).getShape().vec();
    for (const auto &format : tried[i]) {
      const std::string part = fmt::format("{}.{}", tensor.name, tensor.candidates.size());
      auto measureOne = [&]() -> Result<double> {
        QUANTC_ASSIGN(const std::span<const float> rounded, roundTrip(weight, *format));
        QUANTC_TRY(meter->replace(weight, rounded));
        return meter->divergence();
      };
      QUANTC_ASSIGN(const double divergence, measured(part, measureOne));
      QUANTC_ASSIGN(const double bytes, bytesOf(weight, *format));
      tensor.candidates.push_back({format->spec(), bytes, divergence});
      advance(meter->stagesFrom(weight), tensor.name);
    }
    QUANTC_TRY(meter->replace(weight, {}));
  }
  return {};
}

/// The model as a whole with these choices.
Result<double> Planner::measureChosen(const std::vector<size_t> &chosen) {
  const ContentHash hash = ContentHash::of(std::as_bytes(std::span(chosen)));
  return measured("whole." + hash.text().substr(hash.text().find(':') + 1), [&] { return runChosen(chosen); });
}

/// The weights are the original ones again afterwards.
Result<double> Planner::runChosen(const std::vector<size_t> &chosen) {
  for (size_t i = 0; i < matrices.size(); ++i) {
    const std::string &spec = plan.tensors[i].candidates[chosen[i]].format;
    QUANTC_ASSIGN(const auto format, opened.context->getOrLoadDialect<qf::QFDialect>()->format(spec));
    QUANTC_ASSIGN(const std::span<const float> rounded, roundTrip(matrices[i], *format));
    QUANTC_TRY(meter->replace(matrices[i], rounded));
  }
  const auto divergence = meter->divergence();
  for (nn::WeightOp weight : matrices)
    QUANTC_TRY(meter->replace(weight, {}));
  return divergence;
}

static double bitsOf(const BudgetTensor &tensor, const Sensitivity &one) {
  return 8 * one.bytes / (double(tensor.shape[0]) * double(tensor.shape[1]));
}

/// Which candidate of a tensor is the one of this name, or else has the nearest number of bits.
static size_t nearest(const BudgetTensor &tensor, const std::string &format, double bits) {
  const auto distance = [&](const Sensitivity &one) {
    return one.format == format ? -1 : std::fabs(std::log(bitsOf(tensor, one) / bits));
  };
  return static_cast<size_t>(std::ranges::min_element(tensor.candidates, {}, distance) - tensor.candidates.begin());
}

/// Each candidate that matrices can hold which are most of the model.
Status Planner::measureUniform() {
  std::vector<std::pair<std::string, double>> names; // and bits
  for (const BudgetTensor &tensor : plan.tensors)
    for (const Sensitivity &one : tensor.candidates)
      if (std::ranges::find(names, one.format, [](const auto &name) { return name.first; }) == names.end())
        names.emplace_back(one.format, bitsOf(tensor, one));
  for (const auto &[format, bits] : names) {
    std::vector<size_t> chosen;
    double bytes = rest, held = 0;
    for (const BudgetTensor &tensor : plan.tensors) {
      const Sensitivity &one = tensor.candidates[chosen.emplace_back(nearest(tensor, format, bits))];
      bytes += one.bytes;
      held += one.format == format ? double(tensor.shape[0]) * double(tensor.shape[1]) : 0;
    }
    if (held <= weights / 2)
      continue;
    QUANTC_ASSIGN(const double divergence, measureChosen(chosen));
    plan.uniform.push_back({format, bytes, divergence});
  }
  return {};
}

//===- The choice -----------------------------------------------------------------------------------------------===//

Items Planner::items(bool byDivergence) const {
  Items result;
  for (const BudgetTensor &tensor : plan.tensors) {
    std::vector<Choice> &choices = result.emplace_back();
    for (const Sensitivity &one : tensor.candidates)
      choices.push_back(byDivergence ? Choice{one.divergence, one.bytes} : Choice{one.bytes, one.divergence});
  }
  return result;
}

Status Planner::addFrontier() {
  for (const Allocation &point : allocationFrontier(items(/*byDivergence=*/false)))
    plan.frontier.push_back({"", point.cost + rest, point.harm});
  return {};
}

Status Planner::chooseBySize(double limit) {
  auto found = allocate(items(/*byDivergence=*/false), limit - rest);
  if (!found)
    return fail("budget {}: the smallest that the candidates allow is {:.0f} bytes, {:.4f} bits per weight",
                options.budget, plan.frontier.front().bytes, (plan.frontier.front().bytes - rest) * 8 / weights);
  for (size_t i = 0; i < matrices.size(); ++i)
    plan.tensors[i].chosen = found->chosen[i];
  QUANTC_ASSIGN(plan.rounded, measureChosen(found->chosen));
  return {};
}

/// Divergences do not add up exactly: the limit of the sum is moved until what is measured keeps to the budget and is
/// near to it.
Status Planner::chooseByDivergence(double limit) {
  constexpr int attempts = 8;
  constexpr double near = 0.9;
  std::optional<std::vector<size_t>> best;
  const double leastSum = plan.frontier.back().divergence;
  double bestBytes = INFINITY, low = 0, high = INFINITY, sum = std::max(limit, leastSum), least = INFINITY;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    QUANTC_ASSIGN(const Allocation found, allocate(items(/*byDivergence=*/true), sum));
    QUANTC_ASSIGN(const double measured, measureChosen(found.chosen));
    least = std::min(least, measured);
    if (measured <= limit && found.harm < bestBytes) {
      best = found.chosen;
      bestBytes = found.harm;
      plan.rounded = measured;
    }
    if (measured <= limit && measured >= near * limit)
      break;
    (measured <= limit ? low : high) = sum;
    // By proportion; once there are bounds on both sides, between them.
    const double next = measured > 0 ? sum * limit / measured * std::sqrt(near) : sum * 2;
    sum = next > low && next < high ? next : std::isfinite(high) ? (low + high) / 2 : low * 2;
    if (sum < leastSum && measured > limit)
      break; // nothing is left that harms less
    sum = std::max(sum, leastSum);
  }
  if (!best)
    return fail("budget {}: the candidates do not allow it, the least that was measured is {:.4g}; give larger ones by "
                "--candidates",
                options.budget, least);
  for (size_t i = 0; i < matrices.size(); ++i)
    plan.tensors[i].chosen = (*best)[i];
  return {};
}

Status Planner::choose(const Budget &budget) {
  if (budget.of == Budget::Of::Divergence)
    return chooseByDivergence(budget.value);
  return chooseBySize(budget.of == Budget::Of::Bytes ? budget.value : budget.value * weights / 8 + rest);
}

Result<BudgetPlan> Planner::run() {
  QUANTC_ASSIGN(const Budget budget, Budget::parse(options.budget));
  QUANTC_TRY(open());
  auto measure = [&]() -> Status {
    QUANTC_TRY(measureEach());
    QUANTC_TRY(addFrontier());
    QUANTC_TRY(choose(budget));
    return measureUniform();
  };
  // Only a kill leaves what was measured.
  if (const Status status = measure(); !status) {
    QUANTC_TRY(plan.kept->remove());
    return tl::unexpected(status.error());
  }
  double bytes = 0;
  for (const BudgetTensor &tensor : plan.tensors) {
    bytes += tensor.candidates[tensor.chosen].bytes;
    plan.predicted += tensor.candidates[tensor.chosen].divergence;
  }
  plan.bytes = bytes + rest;
  plan.bitsPerWeight = bytes * 8 / weights;
  return std::move(plan);
}

Result<BudgetPlan> quantc::planBudget(const BudgetOptions &options) {
  return Planner(options).run();
}

Result<double> quantc::measureDivergence(const BudgetOptions &options, const std::filesystem::path &written) {
  MeterOptions measuring{.scratch = scratchFolder(options.output), .threads = options.threads};
  QUANTC_ASSIGN(OpenedModel original, openModel(options.model, options.formatFiles));
  QUANTC_ASSIGN(OpenedModel other, openModel(written, options.formatFiles));
  { // The graph goes before its context, which `run` takes.
    QUANTC_ASSIGN(const OwningOpRef<ModuleOp> graph, original.graph());
    QUANTC_ASSIGN(measuring.sequences, measuredSequences(options, *graph));
  }
  struct Run {
    OpenedModel opened;
    std::unique_ptr<WeightStore> store;
    std::unique_ptr<DivergenceMeter> meter;
  };
  auto run = [&](OpenedModel opened) -> Result<Run> {
    Run made{.opened = std::move(opened), .store = nullptr, .meter = nullptr};
    QUANTC_ASSIGN(const Target target, bestTarget(made.opened.data));
    QUANTC_ASSIGN(made.store, WeightStore::create(made.opened.checkpoint, target.rows, scratchFolder(options.output),
                                                  options.threads));
    QUANTC_ASSIGN(made.meter, DivergenceMeter::create(made.opened, *made.store, target, measuring));
    return made;
  };
  QUANTC_ASSIGN(const Run before, run(std::move(original)));
  QUANTC_ASSIGN(const Run after, run(std::move(other)));
  return before.meter->divergenceOf(*after.meter);
}
