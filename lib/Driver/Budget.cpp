//===- Budget.cpp - a format for each tensor, for a size or an error --------------------------------------------===//

#include "quantc/Driver/Budget.h"
#include "CalibrationInput.h"
#include "Candidates.h"
#include "ChooseTargets.h"
#include "DivergenceMeter.h"
#include "OpenModel.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Driver/Models.h"
#include "quantc/Encode/Encode.h"
#include "quantc/Policy/Allocation.h"
#include "quantc/Support/Text.h"
#include <charconv>
#include <cmath>
#include <map>

using namespace mlir;
using namespace quantc;

Result<Budget> Budget::parse(const std::string &text) {
  const auto wrong = [&] {
    return fail("budget {}: expected bits per weight (4.25bpw), a size (3.9GB, 900MB, 1.5GiB, 700MiB), or a divergence "
                "(kld=0.02)",
                inQuotes(text));
  };
  std::string_view rest = text;
  const bool isDivergence = rest.starts_with("kld=");
  rest.remove_prefix(isDivergence ? 4 : 0);
  double value = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (error != std::errc() || !(value > 0) || !std::isfinite(value))
    return wrong();
  rest.remove_prefix(static_cast<size_t>(end - rest.data()));
  if (isDivergence)
    return rest.empty() ? Result<Budget>({Of::Divergence, value}) : wrong();
  if (rest == "bpw")
    return Budget{Of::BitsPerWeight, value};
  static const std::map<std::string_view, double> units = {{"GB", 1e9}, {"MB", 1e6}, {"GiB", 0x1p30}, {"MiB", 0x1p20}};
  const auto unit = units.find(rest);
  return unit == units.end() ? Result<Budget>(wrong()) : Budget{Of::Bytes, value * unit->second};
}

nlohmann::ordered_json BudgetPlan::policy() const {
  std::map<std::string, double> share;
  for (const BudgetTensor &tensor : tensors)
    share[tensor.candidates[tensor.chosen].format] += tensor.candidates[tensor.chosen].bytes;
  const auto most = std::ranges::max_element(share, {}, [](const auto &entry) { return entry.second; });
  nlohmann::ordered_json rules = nlohmann::ordered_json::array();
  for (const BudgetTensor &tensor : tensors)
    rules.push_back({{"name", tensor.name}, {"format", tensor.candidates[tensor.chosen].format}});
  return {{"about", fmt::format("{:.4f} bits per weight, {:.0f} bytes; KL divergence {:.4g} on {} tokens",
                                bitsPerWeight, bytes, measured, tokens)},
          {"format", most->first},
          {"rules", std::move(rules)}};
}

namespace {
class Planner {
public:
  explicit Planner(const BudgetOptions &options) : options(options) {}
  Result<BudgetPlan> run();

private:
  using Formats = std::vector<std::shared_ptr<const Format>>;
  Status open();
  Status readCandidates();
  Result<std::vector<std::vector<int32_t>>> sequences() const;
  Result<Formats> candidatesFor(nn::WeightOp weight) const;
  Result<double> bytesOf(nn::WeightOp weight, const Format &format) const;
  Result<std::vector<float>> roundTrip(nn::WeightOp weight, const Format &format) const;
  Status measureEach();
  Status measureUniform();
  Status addFrontier();
  Result<double> measureChosen(const std::vector<size_t> &chosen);
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
  std::vector<std::vector<std::string>> rows; ///< of candidates
  std::map<std::string, std::shared_ptr<const Format>> formats;
  unsigned blockRows = 0;
  double rest = 0, weights = 0; ///< bytes of what is no matrix; numbers in matrices
  uint64_t done = 0, total = 0; ///< stages
  BudgetPlan plan;
};
} // namespace

//===- Set-up ---------------------------------------------------------------------------------------------------===//

Status Planner::readCandidates() {
  if (!options.candidates.empty()) {
    rows = {options.candidates};
  } else {
    QUANTC_ASSIGN(rows, candidateRows());
  }
  auto *dialect = opened.context->getOrLoadDialect<qf::QFDialect>();
  for (const auto &row : rows)
    for (const std::string &spec : row) {
      QUANTC_ASSIGN(formats[spec], dialect->format(spec));
    }
  return {};
}

/// So many sequences, evenly over the text, that they have the tokens that are wanted.
Result<std::vector<std::vector<int32_t>>> Planner::sequences() const {
  CalibrationText text = options.text;
  QUANTC_ASSIGN(OwningOpRef<ModuleOp> graph, opened.graph());
  QUANTC_TRY(fitToModel(text, *graph));
  text.length = std::min(text.length, options.tokens);
  text.sequences = std::min(text.sequences, options.tokens / text.length);
  QUANTC_ASSIGN(CalibrationData data, readCalibration(text, options.model, *graph));
  return std::move(data.sequences);
}

Status Planner::open() {
  QUANTC_ASSIGN(opened, openModel(options.model, options.formatFiles));
  QUANTC_TRY(readCandidates());
  QUANTC_ASSIGN(const Target target, bestTarget(opened.data));
  blockRows = target.rows;
  QUANTC_ASSIGN(store, WeightStore::create(opened.checkpoint, blockRows, options.scratch, options.threads));
  MeterOptions measuring{.scratch = options.scratch, .threads = options.threads};
  QUANTC_ASSIGN(measuring.sequences, sequences());
  for (const auto &sequence : measuring.sequences)
    plan.tokens += static_cast<int64_t>(sequence.size());
  QUANTC_ASSIGN(meter, DivergenceMeter::create(opened, *store, target, std::move(measuring)));
  matrices = meter->matrices();
  QUANTC_ASSIGN(OwningOpRef<ModuleOp> module, opened.graph());
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

Result<Planner::Formats> Planner::candidatesFor(nn::WeightOp weight) const {
  const auto shape = cast<RankedTensorType>(weight.getType()).getShape();
  const bool isGiven = !options.candidates.empty();
  for (const auto &row : rows) {
    Formats fitting;
    for (const std::string &spec : row)
      if (const auto &format = formats.at(spec); format->checkShape(shape[0], shape[1]))
        fitting.push_back(format);
    if (fitting.size() == row.size() || (isGiven && !fitting.empty()))
      return fitting;
  }
  return fail("weight {} ({} x {}): none of the candidates can hold it; name others by --candidates",
              weight.getSymName().str(), shape[0], shape[1]);
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

Result<std::vector<float>> Planner::roundTrip(nn::WeightOp weight, const Format &format) const {
  const auto shape = cast<RankedTensorType>(weight.getType()).getShape();
  std::vector<float> values(static_cast<size_t>(shape[0] * shape[1]));
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
  return values;
}

Status Planner::measureEach() {
  std::vector<Formats> candidates;
  for (nn::WeightOp weight : matrices) {
    QUANTC_ASSIGN(candidates.emplace_back(), candidatesFor(weight));
    total += candidates.back().size() * meter->stagesFrom(weight);
  }
  for (size_t i = 0; i < matrices.size(); ++i) {
    nn::WeightOp weight = matrices[i];
    BudgetTensor &tensor = plan.tensors.emplace_back(BudgetTensor{.name = weight.getSymName().str()});
    tensor.shape = cast<RankedTensorType>(weight.getType()).getShape().vec();
    for (const auto &format : candidates[i]) {
      QUANTC_ASSIGN(const std::vector<float> values, roundTrip(weight, *format));
      QUANTC_TRY(meter->replace(weight, values));
      QUANTC_ASSIGN(const double divergence, meter->divergence());
      QUANTC_ASSIGN(const double bytes, bytesOf(weight, *format));
      tensor.candidates.push_back({format->spec(), bytes, divergence});
      advance(meter->stagesFrom(weight), tensor.name);
    }
    QUANTC_TRY(meter->replace(weight, {}));
  }
  return {};
}

/// The model as a whole with these choices; the weights are the original ones again afterwards.
Result<double> Planner::measureChosen(const std::vector<size_t> &chosen) {
  for (size_t i = 0; i < matrices.size(); ++i) {
    const std::string &spec = plan.tensors[i].candidates[chosen[i]].format;
    QUANTC_ASSIGN(const auto format, opened.context->getOrLoadDialect<qf::QFDialect>()->format(spec));
    QUANTC_ASSIGN(const std::vector<float> values, roundTrip(matrices[i], *format));
    QUANTC_TRY(meter->replace(matrices[i], values));
  }
  const auto divergence = meter->divergence();
  for (nn::WeightOp weight : matrices)
    QUANTC_TRY(meter->replace(weight, {}));
  return divergence;
}

/// Each candidate that every matrix has.
Status Planner::measureUniform() {
  for (const Sensitivity &candidate : plan.tensors.front().candidates) {
    std::vector<size_t> chosen;
    double bytes = rest;
    for (const BudgetTensor &tensor : plan.tensors) {
      const auto found = std::ranges::find(tensor.candidates, candidate.format, &Sensitivity::format);
      if (found == tensor.candidates.end())
        break;
      chosen.push_back(static_cast<size_t>(found - tensor.candidates.begin()));
      bytes += found->bytes;
    }
    if (chosen.size() < plan.tensors.size())
      continue;
    QUANTC_ASSIGN(const double divergence, measureChosen(chosen));
    plan.uniform.push_back({candidate.format, bytes, divergence});
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
  QUANTC_ASSIGN(plan.measured, measureChosen(found->chosen));
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
      plan.measured = measured;
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
  QUANTC_TRY(measureEach());
  QUANTC_TRY(addFrontier());
  QUANTC_TRY(choose(budget));
  QUANTC_TRY(measureUniform());
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
