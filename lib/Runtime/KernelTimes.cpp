//===- KernelTimes.cpp - what each kernel of a model takes, beside what it has to ---------------------------------===//

#include "quantc/Runtime/KernelTimes.h"
#include "BufferPlan.h"
#include "quantc/Runtime/Measure.h"
#include "quantc/Runtime/Session.h"
#include <algorithm>
#include <chrono>

using namespace quantc;
using Clock = std::chrono::steady_clock;

//===- Floors ---------------------------------------------------------------------------------------------------===//

/// Whether what grows by tokens in a launch does so by rows of logits only.
static bool countsRows(const LaunchEntry &launch) {
  const auto has = [&](Scalar which) {
    return std::ranges::any_of(launch.args,
                               [&](const ArgEntry &a) { return a.kind == ArgKind::Scalar && a.scalar == which; });
  };
  return has(Scalar::Rows) && !has(Scalar::Tokens);
}

std::optional<LaunchWork> quantc::workOf(const Manifest &manifest, const LaunchEntry &launch, const StepSize &step,
                                         const std::function<uint64_t(const WeightEntry &)> &bytesOf) {
  const std::optional<KernelWork> &work = manifest.kernels[launch.kernel].work;
  if (!work || work->multiplications + work->ofPosition == 0)
    return std::nullopt;
  const uint64_t tokens = countsRows(launch) ? 1 : step.tokens;
  LaunchWork sum{.multiplications = work->multiplications * tokens};
  for (const ArgEntry &arg : launch.args)
    if (arg.kind == ArgKind::Weight)
      sum.bytes += bytesOf(manifest.weights[arg.index]);
  if (work->ofPosition == 0)
    return sum;
  const uint64_t window = work->window ? work->window : UINT64_MAX;
  for (uint64_t position = step.past; position < uint64_t(step.past + step.tokens); ++position)
    sum.multiplications += work->ofPosition * std::min(window, position + 1);
  const uint64_t all = step.past + step.tokens,
                 seen = window > all ? all : std::min(all, window + step.tokens - 1); // together
  for (const ArgEntry &arg : launch.args)
    if (arg.kind == ArgKind::Buffer && manifest.buffers[arg.index].persistent)
      sum.bytes += manifest.buffers[arg.index].perContext * seen;
  return sum;
}

std::optional<Floor> quantc::floorOf(const LaunchWork &work, const Ceilings &ceilings,
                                     std::span<const std::string> instructions) {
  const double reading = double(work.bytes) / ceilings.bytes, operations = 2 * double(work.multiplications);
  double fastest = 0;
  for (const std::string &instruction : instructions)
    if (const auto known = ceilings.operations.find(instruction); known != ceilings.operations.end())
      fastest = std::max(fastest, known->second);
  if (fastest > 0)
    return Floor{std::max(reading, operations / fastest), reading >= operations / fastest};
  // What is not known multiplies no slower than f32 do.
  const auto slowest = ceilings.operations.find("f32");
  if (slowest != ceilings.operations.end() && operations / slowest->second <= reading)
    return Floor{reading, true};
  return std::nullopt;
}

//===- Measuring --------------------------------------------------------------------------------------------------===//

/// Takes memory from all caches, so that reading it again reads memory.
static void dropFromCaches(const std::byte *begin, size_t bytes) {
  constexpr size_t line = 64;
  for (const std::byte *at = begin; at < begin + bytes; at += line)
#if defined(__x86_64__)
    __builtin_ia32_clflush(at);
  __builtin_ia32_mfence();
#elif defined(__aarch64__)
    asm volatile("dc civac, %0" ::"r"(at) : "memory");
  asm volatile("dsb sy" ::: "memory");
#else
#error "no instruction that empties caches"
#endif
}

namespace {

/// Longer than what a sleeping thread needs to wake.
constexpr auto wakingTime = std::chrono::microseconds(100);

/// Keeps the threads of a pool busy, so that they are awake for the launch that follows.
void wakeTasks(const int64_t *, int64_t begin, int64_t end) {
  for (; begin != end; ++begin)
    for (const auto start = Clock::now(); Clock::now() - start < wakingTime;)
      ;
}

class Stopwatch final : public LaunchObserver {
public:
  Stopwatch(const Model &model, int64_t context) : model(model), context(context) {}

  void before(const LaunchEntry &launch, std::span<const int64_t> args, ThreadPool &pool) override {
    const Manifest &manifest = model.manifest();
    for (size_t i = 0; i < args.size(); ++i) {
      const ArgEntry &arg = launch.args[i];
      const auto *address = reinterpret_cast<const std::byte *>(args[i]);
      if (arg.kind == ArgKind::Weight)
        dropFromCaches(address, model.artifact().tensor(manifest.weights[arg.index].tensor).size());
      else if (arg.kind == ArgKind::Buffer && manifest.buffers[arg.index].persistent)
        dropFromCaches(address, *bufferSize(manifest.buffers[arg.index], 0, context));
    }
    pool.run(wakeTasks, nullptr, pool.threads());
    start = Clock::now();
  }
  void after(const LaunchEntry &launch) override {
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (times)
      (*times)[launch.kernel].push_back(seconds);
  }

  std::map<size_t, std::vector<double>> *times = nullptr; ///< of each kernel; null: they are not kept

private:
  const Model &model;
  int64_t context;
  Clock::time_point start;
};

/// What multiplies in steps of so many tokens.
std::vector<std::string> instructionsOf(const KernelEntry &kernel, const std::string &target, int64_t tokens) {
  constexpr int64_t many = 16; // see KernelChoice
  const auto choice = kernel.choices.find(target);
  if (choice == kernel.choices.end())
    return {};
  return tokens >= many && !choice->second.manyTokens.empty() ? choice->second.manyTokens : choice->second.instructions;
}

/// Measures, and keeps what was higher before: what else runs on the machine only lowers it.
Status raiseCeilings(Ceilings &ceilings, const Model &model, ThreadPool &pool) {
  QUANTC_ASSIGN(const double bytes, memoryBandwidth(pool));
  ceilings.bytes = std::max(ceilings.bytes, bytes);
  double &f32 = ceilings.operations["f32"];
  f32 = std::max(f32, arithmeticPeak(pool));
  for (const PeakDot &dot : peakDots()) {
    const std::string name(dot.intrinsic);
    const bool used = std::ranges::any_of(model.manifest().kernels, [&](const KernelEntry &kernel) {
      return std::ranges::count(instructionsOf(kernel, model.target(), 1), name) ||
             std::ranges::count(instructionsOf(kernel, model.target(), INT64_MAX), name);
    });
    if (const double peak = used && name != "f32" ? peakOf(dot, pool) : 0; peak > 0)
      ceilings.operations[name] = std::max(ceilings.operations[name], peak);
  }
  return {};
}

/// The sizes of the steps: the longest is a prompt, the others follow it as far as the context goes.
std::vector<StepSize> stepsOf(std::span<const int64_t> tokens, int64_t context) {
  const int64_t prompt = std::min(context, *std::ranges::max_element(tokens));
  std::vector<StepSize> steps;
  for (const int64_t count : tokens) {
    const int64_t fits = std::min(count, prompt);
    steps.push_back({fits, fits == prompt ? 0 : std::min(prompt, context - fits)});
  }
  return steps;
}

} // namespace

Result<KernelTimes> quantc::timeKernels(std::shared_ptr<const Model> model, const KernelTimesOptions &options) {
  if (model->onDevice())
    return fail("kernels are measured on processors only; this model is on a GPU");
  if (options.tokens.empty() || std::ranges::any_of(options.tokens, [](int64_t t) { return t < 1; }))
    return fail("kernels are measured in steps of 1 token or more");
  const Manifest &manifest = model->manifest();
  const std::vector<StepSize> steps = stepsOf(options.tokens, model->context());
  int64_t positions = 0, prompt = 0;
  for (const StepSize &step : steps) {
    positions = std::max(positions, step.past + step.tokens);
    prompt = std::max(prompt, step.tokens);
  }
  Stopwatch stopwatch(*model, positions);
  QUANTC_ASSIGN(
      const auto session,
      Session::create(model,
                      {.context = positions, .chunk = prompt, .threads = options.threads, .observer = &stopwatch}));
  KernelTimes result{.threads = session->threads()};
  QUANTC_ASSIGN(const auto pool, ThreadPool::create(options.threads));
  QUANTC_TRY(raiseCeilings(result.ceilings, *model, *pool));
  const std::vector<int32_t> tokens = someTokens(prompt, model->vocab());
  std::vector<std::map<size_t, std::vector<double>>> times(steps.size());
  // Nobody looks at the first round: pages are mapped in it.
  for (int64_t round = 0; round <= options.rounds; ++round) {
    session->reset();
    stopwatch.times = nullptr;
    QUANTC_TRY(session->step(tokens));
    for (size_t i = 0; i < steps.size(); ++i) {
      QUANTC_TRY(session->rewind(steps[i].past));
      stopwatch.times = round ? &times[i] : nullptr;
      QUANTC_TRY(session->step(std::span(tokens).first(steps[i].tokens)));
    }
  }

  QUANTC_TRY(raiseCeilings(result.ceilings, *model, *pool));
  const auto bytesOf = [&](const WeightEntry &weight) { return model->artifact().tensor(weight.tensor).size(); };
  for (size_t i = 0; i < steps.size(); ++i) {
    StepTimes &ofStep = result.steps.emplace_back(StepTimes{.step = steps[i]});
    for (const auto &[index, seconds] : times[i]) {
      StepTimes::Kernel &kernel =
          ofStep.kernels.emplace_back(StepTimes::Kernel{.index = index, .seconds = medianOf(seconds)});
      const LaunchEntry *launch = nullptr;
      for (const StageEntry &stage : manifest.stages)
        for (const LaunchEntry &entry : stage.launches)
          if (entry.kernel == index)
            launch = &entry;
      const int64_t count = countsRows(*launch) ? 1 : steps[i].tokens;
      if (const auto work = workOf(manifest, *launch, steps[i], bytesOf))
        kernel.floor = floorOf(*work, result.ceilings, instructionsOf(manifest.kernels[index], model->target(), count));
    }
  }
  return result;
}
