//===- Calibrator.cpp - runs a model block by block and watches the inputs of its linears -----------------------===//

#include "quantc/Calibrate/Calibrator.h"

#include "quantc/Dialect/NN/NN.h"
#include "quantc/Support/Parallel.h"
#include "quantc/Transforms/Observers.h"
#include <algorithm>
#include <cmath>
#include <cstring>

using namespace mlir;
using namespace quantc;

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
    sizes.push_back(FloatProgram::scalarsFor(static_cast<int64_t>(sequence.size())));
  }
  QUANTC_ASSIGN(program, FloatProgram::compile(*module, target, options.hessian, options.threads));
  QUANTC_ASSIGN(scratch, ScratchFile::create(options.scratch));
  const size_t numbers = tokens * static_cast<size_t>(hidden);
  QUANTC_ASSIGN(const std::span<std::byte> bytes, scratch->allocate(numbers * sizeof(float)));
  passing = {reinterpret_cast<float *>(bytes.data()), numbers};
  size_t first = 0;
  for (const auto &sequence : options.sequences) {
    activations.push_back(passing.subspan(first, sequence.size() * static_cast<size_t>(hidden)));
    first += activations.back().size();
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

/// Memory for what the launches of the current stage name: weights with their original values, buffers of zeros. Sums
/// of products get theirs when they are wanted.
Status Calibrator::bindStage() {
  addresses.assign(addresses.size(), nullptr);
  for (Memory &one : memory)
    one = Memory();
  weights.clear();
  hessians.clear();
  collected.clear();
  finished = false;
  restartStage();
  SymbolTable table(*module);
  const FloatProgram::Scalars largest = FloatProgram::scalarsFor(longest);
  const FloatProgram::Stage &current = program->stages()[stage];
  for (size_t i = 0; i < current.usefulLaunches(); ++i)
    for (const FloatProgram::Argument &arg : current.launches[i].args) {
      if (arg.isScalar || addresses[arg.symbol])
        continue;
      const FloatProgram::Symbol &symbol = program->symbols()[arg.symbol];
      if (StringRef(symbol.name).starts_with(hessianPrefix))
        continue;
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
      QUANTC_ASSIGN(memory[arg.symbol], Memory::allocate(symbol.bytesFor(largest)));
      addresses[arg.symbol] = memory[arg.symbol].data();
    }
  return {};
}

/// Gives a weight of the current stage the values that `read` gives, in the storage that kernels read.
Status Calibrator::bind(nn::WeightOp weight, const ReadRows &read) {
  const size_t symbol = program->symbol(weight.getSymName());
  QUANTC_ASSIGN(const uint64_t bytes, floatWeightBytes(weight, blockRows));
  auto place = weights.try_emplace(symbol, options.memory).first;
  place->second.resize((bytes + sizeof(Line) - 1) / sizeof(Line));
  addresses[symbol] = place->second.data();
  return writeFloatWeight(weight, blockRows, options.threads, read, {place->second.front().bytes, bytes});
}

static auto firstReader(const FloatProgram::Stage &stage, size_t weight) {
  return std::ranges::find_if(stage.launches, [&](const FloatProgram::Launch &launch) {
    return std::ranges::any_of(launch.args, [&](const auto &arg) { return !arg.isScalar && arg.symbol == weight; });
  });
}

Status Calibrator::replaced(const std::string &weight, const ReadRows &read) {
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
  return bind(SymbolTable(*module).lookup<nn::WeightOp>(weight), read);
}

/// Drops what was computed, and what the observers of the current stage saw, behind the first launch that reads a
/// weight.
void Calibrator::forgetBehind(size_t weight) {
  const FloatProgram::Stage &current = program->stages()[stage];
  const auto first = firstReader(current, weight);
  for (auto launch = first; launch != current.launches.end(); ++launch)
    collected.erase(launch->observer);
  if (static_cast<size_t>(first - current.launches.begin()) < position)
    restartStage();
}

//===- Passes ---------------------------------------------------------------------------------------------------===//

/// The next pass begins with what enters the stage.
void Calibrator::restartStage() {
  position = 0;
  if (saved)
    spare.push_back(std::move(saved));
}

/// Runs the launches of the current stage up to `end` for one sequence, from where the pass before stopped.
Status Calibrator::runSequence(size_t sequence, size_t end, const std::string *only) {
  const FloatProgram::Stage &current = program->stages()[stage];
  if (current.input)
    addresses[*current.input] = activations[sequence].data();
  else
    std::ranges::copy(options.sequences[sequence], static_cast<int32_t *>(addresses[program->tokens()]));
  if (saved)
    saved->load(sequence, addresses);
  for (size_t i = position; i < end; ++i) {
    const FloatProgram::Launch &launch = current.launches[i];
    if (launch.observer.empty() || !only || *only == launch.observer)
      QUANTC_TRY(program->run(launch, addresses, sizes[sequence]));
  }
  return {};
}

/// Runs the launches of the current stage up to `end` for every sequence, from where the pass before stopped; of its
/// observers the one called `only`, or, where that is null, all.
Status Calibrator::pass(size_t end, const std::string *only) {
  const FloatProgram::Stage &current = program->stages()[stage];
  const bool whole = end == current.launches.size();
  for (size_t i = position; i < end; ++i)
    if (const std::string &observer = current.launches[i].observer;
        options.hessian && !observer.empty() && (!only || *only == observer)) {
      auto &sums = hessians.try_emplace(observer, options.memory).first->second;
      sums.assign(program->featuresOf(observer) * program->featuresOf(observer), 0.0f);
      addresses[program->symbol((hessianPrefix + observer).str())] = sums.data();
    }
  std::unique_ptr<SavedBuffers> next;
  if (!whole && options.predecessors == Predecessors::Quantized) {
    std::unique_ptr<SavedBuffers> used;
    if (!spare.empty()) {
      used = std::move(spare.back());
      spare.pop_back();
    }
    QUANTC_ASSIGN(next, SavedBuffers::create(*program, current, end, sizes, options.scratch, std::move(used)));
  }
  for (size_t s = 0; s < options.sequences.size(); ++s) {
    QUANTC_TRY(runSequence(s, end, only));
    if (next)
      next->save(s, addresses);
    if (whole && current.output)
      std::memcpy(activations[s].data(), addresses[*current.output], activations[s].size_bytes());
    if (options.progress)
      options.progress(s + 1, options.sequences.size(), current.name);
  }
  finished = whole;
  restartStage();
  if (next) {
    saved = std::move(next);
    position = end;
  }
  return {};
}

/// What the current stage's states hold of an observer, as means.
Status Calibrator::collect(const std::string &observer) {
  const size_t columns = program->symbol((columnsPrefix + observer).str());
  const int64_t K = program->featuresOf(observer);
  // The matrix is moved in at once: an assignment would copy it from its memory to the heap.
  InputStatistics found{
      .K = K, .tokens = tokens, .hessian = options.hessian ? takeHessian(observer, K) : std::pmr::vector<float>()};
  const double scale = 1.0 / static_cast<double>(tokens);
  const float *sums = reinterpret_cast<const float *>(memory[columns].data());
  for (int64_t k = 0; k < K; ++k) {
    found.meanAbs.push_back(static_cast<float>(sums[k] * scale));
    found.meanSquare.push_back(static_cast<float>(sums[K + k] * scale));
    found.maxAbs.push_back(sums[2 * K + k]);
    if (!std::isfinite(sums[K + k]))
      return fail("calibration: feature {} of the input of {} becomes {}", k, observer, sums[K + k]);
  }
  memory[columns].clear();
  collected[observer] = std::make_shared<const InputStatistics>(std::move(found));
  return {};
}

/// The sums of products, of which kernels make the upper triangle, as means; where they are, so that there is no second
/// matrix.
std::pmr::vector<float> Calibrator::takeHessian(const std::string &observer, int64_t K) {
  std::pmr::vector<float> products = std::move(hessians.find(observer)->second);
  hessians.erase(observer);
  const double scale = 1.0 / static_cast<double>(tokens);
  constexpr int64_t tile = 64; // rows and columns that the cache holds
  parallelFor((K + tile - 1) / tile, options.threads, [&](size_t panel) {
    const int64_t top = static_cast<int64_t>(panel) * tile, bottom = std::min(top + tile, K);
    for (int64_t left = top; left < K; left += tile)
      for (int64_t i = top; i < bottom; ++i)
        for (int64_t j = std::max(i, left); j < std::min(left + tile, K); ++j)
          products[i * K + j] = products[j * K + i] = static_cast<float>(products[i * K + j] * scale);
  });
  return products;
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

std::vector<std::pair<std::string, int64_t>> Calibrator::observers() const {
  std::vector<std::pair<std::string, int64_t>> result;
  for (const FloatProgram::Stage &one : program->stages())
    for (const FloatProgram::Launch &launch : one.launches)
      if (!launch.observer.empty())
        result.emplace_back(launch.observer, program->featuresOf(launch.observer));
  return result;
}

Status Calibrator::resume(size_t stages, std::span<const std::byte> passed) {
  if (stages >= program->stages().size() || passed.size() != passing.size_bytes())
    return fail("{} bytes are not what {} stages give to {} tokens", passed.size(), stages, tokens);
  std::memcpy(passing.data(), passed.data(), passed.size());
  stage = stages;
  return bindStage();
}

Result<size_t> Calibrator::stageOf(const std::string &observer) const {
  for (size_t s = 0; s < program->stages().size() && !observer.empty(); ++s)
    if (llvm::is_contained(llvm::map_range(program->stages()[s].launches, [](const auto &one) { return one.observer; }),
                           observer))
      return s;
  return fail("no linear's input is observed as {}", observer);
}

Result<std::shared_ptr<const InputStatistics>> Calibrator::of(const std::string &observer, bool hessian) {
  if (hessian && !options.hessian)
    return fail("calibration does not collect products of features");
  QUANTC_ASSIGN(const size_t s, stageOf(observer));
  if (s < stage)
    return fail("the input of {} was passed already", observer);
  QUANTC_TRY(enter(s));
  if (collected.count(observer))
    return collected.at(observer);
  const auto &launches = program->stages()[s].launches;
  if (options.predecessors == Predecessors::Quantized) {
    const auto found = std::ranges::find(launches, observer, &FloatProgram::Launch::observer);
    const size_t end = found - launches.begin() + 1;
    if (end <= position)
      restartStage();
    QUANTC_TRY(pass(end, &observer));
    QUANTC_TRY(collect(observer));
  } else {
    QUANTC_TRY(pass(program->stages()[s].usefulLaunches(), nullptr));
    for (const FloatProgram::Launch &launch : launches)
      if (!launch.observer.empty())
        QUANTC_TRY(collect(launch.observer));
  }
  return collected.at(observer);
}
