//===- Calibrator.cpp - runs a model block by block and watches the inputs of its linears -----------------------===//

#include "quantc/Calibrate/Calibrator.h"

#include "quantc/Dialect/NN/NN.h"
#include "quantc/Transforms/Observers.h"
#include <algorithm>
#include <cmath>
#include <cstring>

using namespace mlir;
using namespace quantc;

/// The KV cache holds a multiple of so many positions.
static constexpr int64_t positionAlignment = 16;

//===- Set-up ---------------------------------------------------------------------------------------------------===//

Calibrator::Calibrator(OwningOpRef<ModuleOp> graph, const WeightStore &originals, CalibrationOptions options,
                       unsigned blockRows)
    : module(std::move(graph)), originals(originals), options(std::move(options)), blockRows(blockRows) {}
Calibrator::~Calibrator() = default;

static int64_t modelNumber(ModuleOp module, StringRef name) {
  auto model = module->getAttrOfType<DictionaryAttr>(nn::modelAttrName);
  auto value = model ? model.getAs<IntegerAttr>(name) : IntegerAttr();
  return value ? value.getInt() : 0;
}

Status Calibrator::checkSequences() const {
  const int64_t vocab = modelNumber(*module, "vocab"), context = modelNumber(*module, "context");
  if (options.sequences.empty())
    return fail("calibration has no text");
  for (const std::vector<int32_t> &sequence : options.sequences) {
    if (sequence.empty() || static_cast<int64_t>(sequence.size()) > context)
      return fail("a calibration sequence has {} tokens; 1 to {} can be computed", sequence.size(), context);
    for (int32_t token : sequence)
      if (token < 0 || token >= vocab)
        return fail("calibration token {} is outside the vocabulary of {} tokens", token, vocab);
  }
  return {};
}

Status Calibrator::open(const Target &target) {
  QUANTC_TRY(checkSequences());
  hidden = modelNumber(*module, "hidden");
  for (const auto &sequence : options.sequences) {
    longest = std::max(longest, static_cast<int64_t>(sequence.size()));
    tokens += sequence.size();
  }
  QUANTC_ASSIGN(program, FloatProgram::compile(*module, target, options.hessian, options.threads));
  QUANTC_ASSIGN(scratch, ScratchFile::create(options.scratch));
  for (const auto &sequence : options.sequences) {
    const size_t numbers = sequence.size() * static_cast<size_t>(hidden);
    QUANTC_ASSIGN(const std::span<std::byte> bytes, scratch->allocate(numbers * sizeof(float)));
    activations.emplace_back(reinterpret_cast<float *>(bytes.data()), numbers);
  }
  addresses.assign(program->symbols().size(), nullptr);
  memory.resize(program->symbols().size());
  return bindStage();
}

Result<std::unique_ptr<Calibrator>> Calibrator::create(OwningOpRef<ModuleOp> graph, const WeightStore &originals,
                                                       const Target &target, CalibrationOptions options) {
  std::unique_ptr<Calibrator> calibrator(new Calibrator(std::move(graph), originals, std::move(options), target.rows));
  QUANTC_TRY(calibrator->open(target));
  return calibrator;
}

//===- Memory of a stage ----------------------------------------------------------------------------------------===//

/// Launches of the current stage that are ever run: what follows the last observer only serves the next stage.
size_t Calibrator::usefulLaunches() const {
  const FloatProgram::Stage &current = program->stages()[stage];
  if (current.output)
    return current.launches.size();
  const auto last = std::ranges::find_if(current.launches.rbegin(), current.launches.rend(),
                                         [](const auto &launch) { return !launch.observer.empty(); });
  return static_cast<size_t>(current.launches.rend() - last);
}

/// The columns that nn.gather chooses.
static Result<Memory> tableOf(nn::WeightOp weight, const WeightStore &originals) {
  QUANTC_ASSIGN(const uint64_t bytes, originals.bytes(weight));
  QUANTC_ASSIGN(Memory table, Memory::allocate(bytes));
  QUANTC_TRY(originals.write(weight, [&](std::span<const std::byte> part) -> Status {
    std::memcpy(table.data(), part.data(), part.size());
    return {};
  }));
  return table;
}

/// Memory for what the launches of the current stage name: weights with their original values, buffers of zeros.
Status Calibrator::bindStage() {
  addresses.assign(addresses.size(), nullptr);
  for (Memory &one : memory)
    one = Memory();
  collected.clear();
  finished = false;
  SymbolTable table(*module);
  const int64_t context = (longest + positionAlignment - 1) / positionAlignment * positionAlignment;
  const auto &launches = program->stages()[stage].launches;
  for (size_t i = 0; i < usefulLaunches(); ++i)
    for (const FloatProgram::Argument &arg : launches[i].args) {
      if (arg.isScalar || addresses[arg.symbol])
        continue;
      const FloatProgram::Symbol &symbol = program->symbols()[arg.symbol];
      if (symbol.isWeight) {
        auto weight = table.lookup<nn::WeightOp>(symbol.name);
        if (cast<RankedTensorType>(weight.getType()).getElementType().isInteger(32)) {
          QUANTC_ASSIGN(memory[arg.symbol], tableOf(weight, originals));
          addresses[arg.symbol] = memory[arg.symbol].data();
          continue;
        }
        QUANTC_ASSIGN(const ReadRows read, originals.reader(weight));
        QUANTC_TRY(bind(weight, read));
        continue;
      }
      QUANTC_ASSIGN(memory[arg.symbol],
                    Memory::allocate(symbol.bytes + symbol.perToken * longest + symbol.perContext * context));
      addresses[arg.symbol] = memory[arg.symbol].data();
    }
  return {};
}

/// Gives a weight of the current stage the values that `read` gives, in the storage that kernels read.
Status Calibrator::bind(nn::WeightOp weight, const ReadRows &read) {
  const size_t symbol = program->symbol(weight.getSymName());
  QUANTC_ASSIGN(const uint64_t bytes, floatWeightBytes(weight, blockRows));
  QUANTC_ASSIGN(memory[symbol], Memory::allocate(bytes));
  addresses[symbol] = memory[symbol].data();
  return writeFloatWeight(weight, blockRows, options.threads, read, {memory[symbol].data(), bytes});
}

static auto firstReader(const FloatProgram::Stage &stage, size_t weight) {
  return std::ranges::find_if(stage.launches, [&](const FloatProgram::Launch &launch) {
    return std::ranges::any_of(launch.args, [&](const auto &arg) { return !arg.isScalar && arg.symbol == weight; });
  });
}

Status Calibrator::replaced(const std::string &weight, std::span<const float> values) {
  if (options.predecessors == Predecessors::Original)
    return {};
  const size_t symbol = program->symbol(weight);
  auto reads = [&](const FloatProgram::Stage &one) { return firstReader(one, symbol) != one.launches.end(); };
  const auto found = std::find_if(program->stages().begin() + stage, program->stages().end(), reads);
  if (found == program->stages().end())
    return {};
  QUANTC_TRY(enter(found - program->stages().begin()));
  if (!addresses[symbol])
    return {};
  forgetBehind(symbol);
  auto op = SymbolTable(*module).lookup<nn::WeightOp>(weight);
  auto type = cast<RankedTensorType>(op.getType());
  if (static_cast<int64_t>(values.size()) != type.getNumElements())
    return fail("weight {} has {} numbers, {} were given", weight, type.getNumElements(), values.size());
  const int64_t K = type.getShape().back();
  return bind(op, [&](int64_t row, int64_t count, float *out) -> Status {
    std::copy_n(values.data() + row * K, type.getRank() == 1 ? K : count * K, out);
    return {};
  });
}

/// Drops what the observers of the current stage saw behind the first launch that reads a weight.
void Calibrator::forgetBehind(size_t weight) {
  const FloatProgram::Stage &current = program->stages()[stage];
  for (auto launch = firstReader(current, weight); launch != current.launches.end(); ++launch)
    collected.erase(launch->observer);
}

//===- Passes ---------------------------------------------------------------------------------------------------===//

/// Runs the first `end` launches of the current stage for every sequence; of its observers the one called `only`, or,
/// where that is null, all.
Status Calibrator::pass(size_t end, const std::string *only) {
  const FloatProgram::Stage &current = program->stages()[stage];
  const bool whole = end == current.launches.size();
  for (size_t s = 0; s < options.sequences.size(); ++s) {
    const std::vector<int32_t> &sequence = options.sequences[s];
    const int64_t count = static_cast<int64_t>(sequence.size());
    if (current.input)
      addresses[*current.input] = activations[s].data();
    else
      std::memcpy(addresses[program->tokens()], sequence.data(), sequence.size() * sizeof(int32_t));
    FloatProgram::Scalars scalars{};
    scalars[static_cast<size_t>(rt::Scalar::Tokens)] = count;
    scalars[static_cast<size_t>(rt::Scalar::Context)] =
        (count + positionAlignment - 1) / positionAlignment * positionAlignment;
    scalars[static_cast<size_t>(rt::Scalar::Rows)] = count;
    for (size_t i = 0; i < end; ++i) {
      const FloatProgram::Launch &launch = current.launches[i];
      if (launch.observer.empty() || !only || *only == launch.observer)
        QUANTC_TRY(program->run(launch, addresses, scalars));
    }
    if (whole && current.output)
      std::memcpy(activations[s].data(), addresses[*current.output], activations[s].size_bytes());
    if (options.progress)
      options.progress(s + 1, options.sequences.size(), current.name);
  }
  finished = whole;
  return {};
}

/// What the current stage's states hold of an observer, as means.
Status Calibrator::collect(const std::string &observer) {
  auto statistics = std::make_shared<InputStatistics>();
  const size_t columns = program->symbol((columnsPrefix + observer).str());
  const int64_t K = statistics->K = featuresOf(observer);
  statistics->tokens = tokens;
  const double scale = 1.0 / static_cast<double>(tokens);
  const float *sums = reinterpret_cast<const float *>(memory[columns].data());
  for (int64_t k = 0; k < K; ++k) {
    statistics->meanAbs.push_back(static_cast<float>(sums[k] * scale));
    statistics->meanSquare.push_back(static_cast<float>(sums[K + k] * scale));
    statistics->maxAbs.push_back(sums[2 * K + k]);
    if (!std::isfinite(sums[K + k]))
      return fail("calibration: feature {} of the input of {} becomes {}", k, observer, sums[K + k]);
  }
  memory[columns].clear();
  if (options.hessian) {
    Memory &state = memory[program->symbol((hessianPrefix + observer).str())];
    const float *products = reinterpret_cast<const float *>(state.data());
    statistics->hessian.resize(K * K);
    for (int64_t i = 0; i < K; ++i)
      for (int64_t j = i; j < K; ++j)
        statistics->hessian[i * K + j] = statistics->hessian[j * K + i] =
            static_cast<float>(products[i * K + j] * scale);
    state.clear();
  }
  collected[observer] = std::move(statistics);
  return {};
}

Status Calibrator::enter(size_t wanted) {
  while (stage < wanted) {
    if (!finished) {
      static const std::string none;
      QUANTC_TRY(pass(program->stages()[stage].launches.size(), &none));
    }
    ++stage;
    QUANTC_TRY(bindStage());
  }
  return {};
}

int64_t Calibrator::featuresOf(const std::string &observer) const {
  const size_t columns = program->symbol((columnsPrefix + observer).str());
  return static_cast<int64_t>(program->symbols()[columns].bytes / (3 * sizeof(float)));
}

std::vector<std::pair<std::string, int64_t>> Calibrator::observers() const {
  std::vector<std::pair<std::string, int64_t>> result;
  for (const FloatProgram::Stage &one : program->stages())
    for (const FloatProgram::Launch &launch : one.launches)
      if (!launch.observer.empty())
        result.emplace_back(launch.observer, featuresOf(launch.observer));
  return result;
}

Result<std::shared_ptr<const InputStatistics>> Calibrator::of(const std::string &observer, bool hessian) {
  if (hessian && !options.hessian)
    return fail("calibration does not collect products of features");
  for (size_t s = 0; s < program->stages().size(); ++s) {
    const auto &launches = program->stages()[s].launches;
    const auto found = std::ranges::find(launches, observer, &FloatProgram::Launch::observer);
    if (observer.empty() || found == launches.end())
      continue;
    if (s < stage)
      return fail("the input of {} was passed already", observer);
    QUANTC_TRY(enter(s));
    if (!collected.count(observer)) {
      if (options.predecessors == Predecessors::Quantized) {
        QUANTC_TRY(pass(found - launches.begin() + 1, &observer));
        QUANTC_TRY(collect(observer));
      } else {
        QUANTC_TRY(pass(usefulLaunches(), nullptr));
        for (const FloatProgram::Launch &launch : launches)
          if (!launch.observer.empty())
            QUANTC_TRY(collect(launch.observer));
      }
    }
    return collected.at(observer);
  }
  return fail("no linear's input is observed as {}", observer);
}
