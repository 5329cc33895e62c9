//===- DivergenceMeter.cpp - how far other weights carry a model from itself ------------------------------------===//

#include "DivergenceMeter.h"
#include "mlir/IR/SymbolTable.h"
#include "quantc/Calibrate/FloatWeights.h"
#include "quantc/Runtime/Evaluate.h"
#include "quantc/Support/Parallel.h"
#include "quantc/Transforms/Weights.h"
#include <cmath>
#include <cstring>
#include <numeric>

using namespace mlir;
using namespace quantc;

/// The KV cache holds a multiple of so many positions.
static constexpr size_t positionAlignment = 16;

static size_t aligned(size_t positions) {
  return (positions + positionAlignment - 1) / positionAlignment * positionAlignment;
}

DivergenceMeter::DivergenceMeter(const WeightStore &originals, unsigned rows, MeterOptions options)
    : originals(originals), rows(rows), options(std::move(options)) {}
DivergenceMeter::~DivergenceMeter() = default;

//===- Set-up ---------------------------------------------------------------------------------------------------===//

/// All weights at their place in the scratch file, and which stage reads them first.
Status DivergenceMeter::bindWeights() {
  SymbolTable symbols(*module);
  for (size_t stage = 0; stage < program->stages().size(); ++stage)
    for (const FloatProgram::Launch &launch : program->stages()[stage].launches)
      for (const FloatProgram::Argument &arg : launch.args) {
        if (arg.isScalar || !program->symbols()[arg.symbol].isWeight || addresses[arg.symbol])
          continue;
        auto weight = symbols.lookup<nn::WeightOp>(program->symbols()[arg.symbol].name);
        QUANTC_ASSIGN(const uint64_t bytes, floatWeightBytes(weight, rows));
        QUANTC_ASSIGN(const std::span<std::byte> place, scratch->allocate(bytes));
        addresses[arg.symbol] = place.data();
        firstStage[weight.getSymName()] = stage;
        QUANTC_TRY(replace(weight, {}));
      }
  return {};
}

Status DivergenceMeter::open(const OpenedModel &opened, const Target &target) {
  QUANTC_ASSIGN(module, opened.graph());
  auto number = [&](StringRef name) {
    auto model = (*module)->getAttrOfType<DictionaryAttr>(nn::modelAttrName);
    auto value = model ? model.getAs<IntegerAttr>(name) : IntegerAttr();
    return static_cast<size_t>(value ? value.getInt() : 0);
  };
  vocab = number("vocab");
  for (const auto &sequence : options.sequences) {
    longest = std::max(longest, sequence.size());
    if (sequence.size() > number("context"))
      return fail("a sequence has {} tokens; the model computes {}", sequence.size(), number("context"));
    for (int32_t token : sequence)
      if (token < 0 || static_cast<size_t>(token) >= vocab)
        return fail("token {} is outside the vocabulary of {} tokens", token, vocab);
  }
  QUANTC_ASSIGN(program, FloatProgram::compile(*module, target, /*hessian=*/false, options.threads));
  QUANTC_ASSIGN(scratch, ScratchFile::create(options.scratch));
  addresses.assign(program->symbols().size(), nullptr);
  QUANTC_TRY(bindWeights());
  const size_t hidden = number("hidden");
  auto allocate = [&](size_t perToken) -> Result<std::vector<std::span<float>>> {
    std::vector<std::span<float>> all;
    for (const auto &sequence : options.sequences) {
      QUANTC_ASSIGN(const auto bytes, scratch->allocate(sequence.size() * perToken * sizeof(float)));
      all.emplace_back(reinterpret_cast<float *>(bytes.data()), sequence.size() * perToken);
    }
    return all;
  };
  entering.resize(program->stages().size() + 1);
  for (auto &stage : entering) {
    QUANTC_ASSIGN(stage, allocate(hidden));
  }
  QUANTC_ASSIGN(current, allocate(hidden));
  QUANTC_ASSIGN(logits, allocate(vocab));
  for (size_t stage = 0; stage < program->stages().size(); ++stage)
    QUANTC_TRY(runStage(stage, entering[stage], &entering[stage + 1]));
  isFirst = false;
  return {};
}

Result<std::unique_ptr<DivergenceMeter>> DivergenceMeter::create(const OpenedModel &opened,
                                                                 const WeightStore &originals, const Target &target,
                                                                 MeterOptions options) {
  std::unique_ptr<DivergenceMeter> meter(new DivergenceMeter(originals, target.rows, std::move(options)));
  QUANTC_TRY(meter->open(opened, target));
  return meter;
}

//===- Weights --------------------------------------------------------------------------------------------------===//

std::vector<nn::WeightOp> DivergenceMeter::matrices() {
  std::vector<nn::WeightOp> result;
  for (nn::WeightOp weight : module->getOps<nn::WeightOp>())
    if (cast<RankedTensorType>(weight.getType()).getRank() == 2 && firstStage.contains(weight.getSymName()) &&
        isa<qf::ElemType>(cast<RankedTensorType>(weight.getType()).getElementType()))
      result.push_back(weight);
  return result;
}

size_t DivergenceMeter::stagesFrom(nn::WeightOp weight) const {
  return program->stages().size() - firstStage.lookup(weight.getSymName());
}

Status DivergenceMeter::replace(nn::WeightOp weight, std::span<const float> values) {
  QUANTC_ASSIGN(const uint64_t bytes, floatWeightBytes(weight, rows));
  const int64_t K = cast<RankedTensorType>(weight.getType()).getShape().back();
  ReadRows read = [&](int64_t row, int64_t count, float *out) -> Status {
    std::copy_n(values.data() + row * K, count * K, out);
    return {};
  };
  if (values.empty()) {
    QUANTC_ASSIGN(read, originals.reader(weight));
  }
  if (values.empty())
    replaced.erase(weight.getSymName());
  else
    replaced[weight.getSymName()] = true;
  auto *place = static_cast<std::byte *>(addresses[program->symbol(weight.getSymName())]);
  return writeFloatWeight(weight, rows, options.threads, read, {place, bytes});
}

//===- Measurements ---------------------------------------------------------------------------------------------===//

Status DivergenceMeter::keepLogits(size_t sequence, const float *values) {
  std::span<float> place = logits[sequence];
  std::copy_n(values, place.size(), place.data());
  for (float logit : place)
    if (!std::isfinite(logit))
      return fail("the model computes a logit of {}: nothing can be compared with it", logit);
  return {};
}

void DivergenceMeter::compareLogits(size_t sequence, const float *values) {
  const size_t first = divergences.size(), count = options.sequences[sequence].size();
  divergences.resize(first + count);
  parallelFor(count, options.threads, [&](size_t i) {
    divergences[first + i] =
        klDivergence(logits[sequence].subspan(i * vocab, vocab), std::span(values + i * vocab, vocab));
  });
}

/// Runs a stage for every sequence. Of the last, the logits are kept or compared.
Status DivergenceMeter::runStage(size_t index, const std::vector<std::span<float>> &input,
                                 std::vector<std::span<float>> *output) {
  const FloatProgram::Stage &stage = program->stages()[index];
  std::vector<Memory> buffers;
  std::vector<size_t> bound;
  for (const FloatProgram::Launch &launch : stage.launches)
    for (const FloatProgram::Argument &arg : launch.args) {
      if (!launch.observer.empty() || arg.isScalar || addresses[arg.symbol])
        continue;
      const FloatProgram::Symbol &symbol = program->symbols()[arg.symbol];
      QUANTC_ASSIGN(Memory memory,
                    Memory::allocate(symbol.bytes + symbol.perToken * longest + symbol.perContext * aligned(longest)));
      addresses[arg.symbol] = memory.data();
      buffers.push_back(std::move(memory));
      bound.push_back(arg.symbol);
    }
  auto run = [&]() -> Status {
    for (size_t s = 0; s < options.sequences.size(); ++s) {
      const std::vector<int32_t> &sequence = options.sequences[s];
      if (stage.input)
        std::memcpy(addresses[*stage.input], input[s].data(), input[s].size_bytes());
      else
        std::memcpy(addresses[program->tokens()], sequence.data(), sequence.size() * sizeof(int32_t));
      FloatProgram::Scalars scalars{};
      scalars[static_cast<size_t>(rt::Scalar::Tokens)] = static_cast<int64_t>(sequence.size());
      scalars[static_cast<size_t>(rt::Scalar::Context)] = static_cast<int64_t>(aligned(sequence.size()));
      scalars[static_cast<size_t>(rt::Scalar::Rows)] = static_cast<int64_t>(sequence.size());
      for (const FloatProgram::Launch &launch : stage.launches)
        if (launch.observer.empty())
          QUANTC_TRY(program->run(launch, addresses, scalars));
      if (stage.output) {
        std::memcpy((*output)[s].data(), addresses[*stage.output], (*output)[s].size_bytes());
        continue;
      }
      const float *values = static_cast<const float *>(addresses[program->logits()]);
      if (isFirst)
        QUANTC_TRY(keepLogits(s, values));
      else
        compareLogits(s, values);
    }
    return {};
  };
  const Status status = run();
  for (size_t symbol : bound)
    addresses[symbol] = nullptr;
  if (options.progress)
    options.progress(1);
  return status;
}

Result<double> DivergenceMeter::divergence() {
  size_t stage = program->stages().size();
  for (const auto &entry : replaced)
    stage = std::min(stage, firstStage.lookup(entry.getKey()));
  if (replaced.empty())
    return 0.0;
  divergences.clear();
  for (size_t at = stage; at < program->stages().size(); ++at)
    QUANTC_TRY(runStage(at, at == stage ? entering[at] : current, &current));
  return meanDivergence();
}

Result<double> DivergenceMeter::meanDivergence() const {
  // In the order of the text: the same bits for every number of threads.
  const double sum = std::accumulate(divergences.begin(), divergences.end(), 0.0);
  if (!std::isfinite(sum))
    return fail("with other weights the model computes logits that are no numbers");
  return sum / static_cast<double>(divergences.size());
}

Result<double> DivergenceMeter::divergenceOf(const DivergenceMeter &other) {
  if (other.vocab != vocab || other.options.sequences != options.sequences)
    return fail("the models predict other tokens: {} of them, and {}", vocab, other.vocab);
  divergences.clear();
  for (size_t s = 0; s < logits.size(); ++s)
    compareLogits(s, other.logits[s].data());
  return meanDivergence();
}
