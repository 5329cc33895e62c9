//===- BudgetCost.cpp - what the measurements of a budget take --------------------------------------------------===//

#include "BudgetCost.h"
#include "Candidates.h"
#include "ChooseTargets.h"
#include "OpenModel.h"
#include "WeightsPlan.h"
#include "quantc/Calibrate/Footprint.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Runtime/Measure.h"
#include "llvm/ADT/StringMap.h"
#include <algorithm>
#include <numeric>

using namespace mlir;
using namespace quantc;

/// Measurements of the whole model while a divergence is kept to, at most; for a size there is one.
static constexpr double attempts = 8;

/// The stage that reads a weight first.
static llvm::StringMap<size_t> firstStages(const FloatProgram &program) {
  llvm::StringMap<size_t> first;
  for (size_t stage = 0; stage < program.stages().size(); ++stage)
    for (const FloatProgram::Launch &launch : program.stages()[stage].launches)
      for (const FloatProgram::Argument &arg : launch.args)
        if (!arg.isScalar && program.symbols()[arg.symbol].isWeight)
          first.try_emplace(program.symbols()[arg.symbol].name, stage);
  return first;
}

Result<QuantizePlan> quantc::planMeasurements(const BudgetOptions &options) {
  QUANTC_ASSIGN(const Budget budget, Budget::parse(options.budget));
  QUANTC_ASSIGN(const OpenedModel opened, openModel(options.model, options.formatFiles));
  QUANTC_ASSIGN(const CandidateSet candidates, CandidateSet::load(options.candidates, [&](const std::string &spec) {
                  return opened.context->getOrLoadDialect<qf::QFDialect>()->format(spec);
                }));
  QUANTC_ASSIGN(const Target target, bestTarget(opened.data));
  QUANTC_ASSIGN(const OwningOpRef<ModuleOp> graph, opened.graph());
  QUANTC_ASSIGN(const auto sequences, measuredSequences(options, *graph));
  const std::vector<int64_t> lengths = lengthsOf(sequences);
  const auto tokens = static_cast<uint64_t>(std::accumulate(lengths.begin(), lengths.end(), int64_t(0)));
  QUANTC_ASSIGN(const auto program, FloatProgram::outline(*graph, /*hessian=*/false));
  QUANTC_ASSIGN(const auto stages, calibrationFootprint(*program, *graph, target.rows, lengths, /*passForEach=*/false));

  QuantizePlan plan;
  std::vector<double> from(stages.size() + 1); // operations from a stage to the end
  uint64_t buffers = 0, weights = 0, largest = 0;
  for (size_t s = stages.size(); s-- > 0;) {
    from[s] = from[s + 1] + stages[s].operations;
    buffers = std::max(buffers, stages[s].buffers);
    weights += stages[s].weights;
  }
  const llvm::StringMap<size_t> first = firstStages(*program);
  double operations = from[0], encoding = 0;
  size_t most = 0;
  ArrayRef<int64_t> table;
  for (nn::WeightOp weight : ModuleOp(*graph).getOps<nn::WeightOp>()) {
    const auto type = cast<RankedTensorType>(weight.getType());
    const auto stage = first.find(weight.getSymName());
    if (type.getRank() != 2 || !isa<qf::ElemType>(type.getElementType()) || stage == first.end())
      continue;
    const int64_t N = type.getDimSize(0), K = type.getDimSize(1);
    if (weight.getSymName() == "token_embd")
      table = type.getShape();
    QUANTC_ASSIGN(const CandidateSet::Formats tried, candidates.of(weight.getSymName().str(), N, K));
    operations += double(tried.size()) * from[stage->second];
    for (const auto &format : tried)
      encoding += secondsToEncode(*format, N, K) * double(N) * double(K);
    most = std::max(most, tried.size());
    largest = std::max(largest, static_cast<uint64_t>(N * K) * sizeof(float));
  }
  // The choice, and each candidate for all.
  const double wholes = (budget.of == Budget::Of::Divergence ? attempts : 1) + double(most);
  operations += wholes * from[0];
  plan.leastMemory = plan.memory = memoryOfProcess() + buffers;
  if (table.size() == 2) // activations that enter each stage, logits
    plan.scratch = tokens * sizeof(float) * static_cast<uint64_t>(table[0] + table[1] * int64_t(stages.size() + 2));
  plan.scratch += weights + largest;
  QUANTC_ASSIGN(const auto pool, ThreadPool::create(threadsOf(options.threads)));
  plan.peak = arithmeticPeak(*pool);
  plan.phases.push_back({"run the model", operations, operations / (plan.peak * forwardShare)});
  plan.phases.push_back({"find scales and codes", 0, encoding / threadsOf(options.threads)});
  return plan;
}
