//===- Linear.cpp - speed of matrix products ----------------------------------------------------------------------===//
//
// bench-kernels [--target T] [--m M,…] [--n N] [--k K] [--rounds R] [--exact | --high] [--tiles T,R,t] [--assembly]
// [--benchmark_…] FORMAT...
//
// For each format: y = x Wᵀ for M tokens and for one, checked against f64 first, on one thread and on two. One token is
// measured with the same weights again and again, and with copies of them that no cache holds. Counters: operations and
// bytes of weights per second, and the share of what this processor computes by the kernel's instruction, or reads, at
// most, which is measured in the same run. Times are those of PieceTimes.h: the column "Time" has none of its care.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "Ceilings.h"
#include "LinearRun.h"
#include "PieceTimes.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"
#include "quantc/Pipelines/Pipelines.h"
#include <CLI/CLI.hpp>
#include <benchmark/benchmark.h>
#include <cstring>

using namespace quantc;
using namespace quantc::test;

namespace {

/// A product in one format, with buffers for `most` tokens.
class Product {
public:
  static Result<std::unique_ptr<Product>> create(mlir::MLIRContext &context, const LinearCase &linear,
                                                 const Target &target, int64_t most);

  double error() const;
  void multiply(benchmark::State &state, int64_t tokens, Ceilings &ceilings) const;
  void stream(benchmark::State &state, AlignedBytes &memory, Ceilings &ceilings) const;
  void encode(benchmark::State &state) const;
  bool isQuantized() const { return !weights.activations.empty(); }

private:
  Product(LinearCase linear, LinearWeights weights, CompiledKernels kernels, int64_t most)
      : linear(std::move(linear)), weights(std::move(weights)), kernels(std::move(kernels)), most(most),
        x(randomNormal(most * this->linear.K, 5)), y(most * this->linear.N),
        codes(most * activationBytes(this->linear.K)) {}

  std::vector<int64_t> encodeArgs() const { return {address(x), most, codes.address(), most}; }
  std::vector<int64_t> args(int64_t tokens) const {
    return {isQuantized() ? codes.address() : address(x), tokens, weights.packed.address(), address(y), tokens};
  }
  static int64_t address(const std::vector<float> &numbers) { return reinterpret_cast<int64_t>(numbers.data()); }
  void count(benchmark::State &state, double seconds, int64_t tokens) const;

  LinearCase linear;
  LinearWeights weights;
  CompiledKernels kernels;
  int64_t most;
  std::vector<float> x, y;
  AlignedBytes codes;
};

} // namespace

Result<std::unique_ptr<Product>> Product::create(mlir::MLIRContext &context, const LinearCase &linear,
                                                 const Target &target, int64_t most) {
  QUANTC_ASSIGN(LinearWeights weights, LinearWeights::create(context, linear));
  QUANTC_ASSIGN(CompiledKernels kernels,
                CompiledKernels::compile(context, linearText(context, linear, weights.activations), target));
  std::unique_ptr<Product> product(new Product(linear, std::move(weights), std::move(kernels), most));
  if (product->isQuantized())
    product->kernels.runAll("encode", product->encodeArgs());
  product->kernels.runAll("linear", product->args(most));
  return product;
}

/// Normalized, of 500 numbers of the result.
double Product::error() const {
  double error = 0, norm = 0;
  const std::vector<double> activations = activationsOf(weights, x, most, linear.K);
  std::mt19937 engine(1);
  for (int i = 0; i < 500; i++) {
    const int64_t m = engine() % most, n = engine() % linear.N;
    double sum = 0;
    for (int64_t k = 0; k < linear.K; k++)
      sum += activations[m * linear.K + k] * weights.values[n * linear.K + k];
    error += (y[m * linear.N + n] - sum) * (y[m * linear.N + n] - sum);
    norm += sum * sum;
  }
  return error / norm;
}

void Product::count(benchmark::State &state, double seconds, int64_t tokens) const {
  state.counters["OP/s"] =
      2.0 * static_cast<double>(tokens) * static_cast<double>(linear.N) * static_cast<double>(linear.K) / seconds;
  state.counters["B/s"] = static_cast<double>(weights.packed.size()) / seconds;
  state.counters["us"] = 1e6 * seconds;
}

/// The state's argument: threads. The work of many tokens is cut into pieces.
void Product::multiply(benchmark::State &state, int64_t tokens, Ceilings &ceilings) const {
  const auto threads = static_cast<int>(state.range(0));
  const std::vector<int64_t> arguments = args(tokens);
  const int64_t tasks = kernels.tasks("linear", arguments);
  const int64_t pieces = tokens == 1 ? 1 : std::clamp<int64_t>(tasks / threads, 1, 22), parts = pieces * threads;
  PieceTimes times(threads, static_cast<int>(pieces));
  for (auto _ : state)
    times.round([&](size_t thread, size_t piece) {
      const auto part = static_cast<int64_t>(piece * threads + thread);
      kernels.run("linear", arguments, tasks * part / parts, tasks * (part + 1) / parts);
    });
  count(state, times.seconds(), tokens);
  const std::string instruction = kernels.instruction("linear", tokens);
  state.SetLabel(instruction);
  if (tokens == 1)
    state.counters["of_reading"] =
        state.counters["B/s"] / ceilings.reading({weights.packed.data(), weights.packed.size()}, threads);
  else if (const double most = ceilings.operations(instruction, threads); most > 0)
    state.counters["of_peak"] = state.counters["OP/s"] / most;
}

/// One token with copies of the weights that fill `memory`.
void Product::stream(benchmark::State &state, AlignedBytes &memory, Ceilings &ceilings) const {
  const auto threads = static_cast<int>(state.range(0));
  const size_t bytes = weights.packed.size(), copies = memory.size() / bytes;
  if (copies == 0)
    return state.SkipWithError("the weight is larger than what is kept for copies of it");
  for (size_t copy = 0; copy < copies; copy++)
    std::memcpy(memory.data() + copy * bytes, weights.packed.data(), bytes);
  const int64_t tasks = kernels.tasks("linear", args(1));
  PieceTimes times(threads, 1);
  for (auto _ : state)
    times.round([&](size_t thread, size_t) {
      std::vector<int64_t> own = args(1);
      for (size_t copy = 0; copy < copies; copy++) {
        own[2] = memory.address() + static_cast<int64_t>(copy * bytes);
        kernels.run("linear", own, tasks * thread / threads, tasks * (thread + 1) / threads);
      }
    });
  count(state, times.seconds() / static_cast<double>(copies), 1);
  state.counters["of_reading"] = state.counters["B/s"] / ceilings.reading({memory.data(), memory.size()}, threads);
}

/// Of all tokens, on one thread.
void Product::encode(benchmark::State &state) const {
  const std::vector<int64_t> arguments = encodeArgs();
  PieceTimes times(1, 1);
  for (auto _ : state)
    times.round([&](size_t, size_t) { kernels.runAll("encode", arguments); });
  state.counters["us"] = 1e6 * times.seconds();
}

static Status printAssembly(mlir::MLIRContext &context, const LinearCase &linear, const Target &target) {
  QUANTC_ASSIGN(const LinearWeights weights, LinearWeights::create(context, linear));
  auto module = mlir::parseSourceString<mlir::ModuleOp>(linearText(context, linear, weights.activations), &context);
  QUANTC_TRY(lowerKernels(*module, target));
  QUANTC_ASSIGN(const std::string text, emitCode(*module, CodeOutput::Assembly));
  fmt::print("{}\n", text);
  return {};
}

int main(int argc, char **argv) {
  benchmark::Initialize(&argc, argv);
  CLI::App app("speed of matrix products");
  std::string targetName;
  std::vector<std::string> formats;
  std::vector<int64_t> tokens = {1, 512}, tiles;
  int64_t N = 5632, K = 2048;
  int rounds = 10;
  bool exact = false, high = false, assembly = false;
  app.add_option("--target", targetName, "a file of targets/ (default: the best that runs here)");
  app.add_option("--m", tokens, "numbers of tokens")->delimiter(',')->capture_default_str();
  app.add_option("--n", N)->capture_default_str();
  app.add_option("--k", K)->capture_default_str();
  app.add_option("--rounds", rounds, "the best of so many")->capture_default_str();
  app.add_flag("--exact", exact);
  app.add_flag("--high", high, "bf16 activations for all codes that are bf16 numbers");
  app.add_option("--tiles", tiles, "tokens and rows of a task, tokens of a register tile (default: the target's)")
      ->delimiter(',')
      ->expected(3);
  app.add_flag("--assembly", assembly, "print the code and measure nothing");
  app.add_option("format", formats)->required();
  CLI11_PARSE(app, argc, argv);

  std::vector<Target> targets = runnableTargets();
  Target target = targets.back();
  for (const Target &candidate : targets)
    if (candidate.name == targetName)
      target = candidate;
  if (!tiles.empty())
    target.tiles = {tiles[0], tiles[1], tiles[2]};
  benchmark::AddCustomContext("target", target.name);

  auto context = createContext();
  AlignedBytes memory(assembly ? 0 : size_t(256) << 20, std::byte(1));
  Ceilings ceilings(rounds);
  std::vector<std::unique_ptr<Product>> products;
  for (const std::string &spec : formats) {
    const LinearCase linear{.spec = spec, .N = N, .K = K, .exact = exact, .high = high};
    if (assembly) {
      if (const Status printed = printAssembly(*context, linear, target); !printed)
        fmt::print(stderr, "{}: {}\n", spec, printed.error().message);
      continue;
    }
    auto made = Product::create(*context, linear, target, *std::ranges::max_element(tokens));
    if (!made) {
      fmt::print(stderr, "{}: {}\n", spec, made.error().message);
      continue;
    }
    const Product &product = *products.emplace_back(std::move(*made));
    benchmark::AddCustomContext("NMSE of " + spec, fmt::format("{:.0e}", product.error()));
    const std::string name = fmt::format("{}/n:{}/k:{}", spec, N, K);
    auto add = [&](const std::string &kind, int times, auto body) {
      return benchmark::RegisterBenchmark((name + kind).c_str(), body)->Iterations(times)->ArgName("threads");
    };
    for (const int64_t m : tokens)
      add(fmt::format("/m:{}", m), m == 1 ? 4 * rounds : rounds,
          [&product, &ceilings, m](benchmark::State &state) { product.multiply(state, m, ceilings); })
          ->Arg(1)
          ->Arg(2);
    add("/m:1/from_memory", rounds, [&](benchmark::State &state) { product.stream(state, memory, ceilings); })
        ->Arg(1)
        ->Arg(2);
    if (product.isQuantized())
      add("/encode", rounds, [&](benchmark::State &state) { product.encode(state); })->Arg(1);
  }
  if (!assembly)
    benchmark::RunSpecifiedBenchmarks();
}
