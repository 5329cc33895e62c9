//===- Observe.cpp - speed of the sums of products that calibration makes ----------------------------------------===//
//
// bench-observe [--target T] [--tokens M] [--rounds R] K...
//
// For each number of features K: XT X of M tokens by the compiled nn.observe, compared with f64 first, its time on one
// thread beside the f32 peak of the same run. The floor counts M K (K + 1) operations, those of one triangle.
//
//===-----------------------------------------------------------------------------------------------------------===//

#include "CpuTime.h"
#include "LinearKernel.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "quantc/CodeGen/KernelPasses.h"
#include "quantc/CodeGen/TargetAttributes.h"
#include "quantc/Runtime/Measure.h"
#include <CLI/CLI.hpp>
#include <cmath>

using namespace quantc;
using namespace quantc::test;

static std::string textOf(int64_t K) {
  const std::string x = fmt::format("tensor<?x{}xf32>", K), c = fmt::format("tensor<3x{}xf32>", K),
                    h = fmt::format("tensor<{0}x{0}xf32>", K), own = " {bufferization.writable = true}";
  return fmt::format("func.func @observe(%x: {0}, %c: {1}{3}, %h: {2}{3}) -> ({1}, {2}) {{\n"
                     "  %c2, %h2 = nn.observe %x into %c, %h : {0} into {1}, {2} -> {2}\n"
                     "  return %c2, %h2 : {1}, {2}\n}}\n",
                     x, c, h, own);
}

/// The kernel at the level that `CompiledKernels` takes; empty where it cannot be lowered.
static std::string loweredFor(mlir::MLIRContext &context, const Target &target, int64_t K) {
  auto module = mlir::parseSourceString<mlir::ModuleOp>(textOf(K), &context);
  if (!module)
    return "";
  attach(target, *module);
  mlir::PassManager manager(&context);
  manager.addNestedPass<mlir::func::FuncOp>(createNNLowerObserve());
  std::string lowered;
  if (succeeded(manager.run(*module)))
    llvm::raw_string_ostream(lowered) << *module;
  return lowered;
}

/// The largest difference of some products from those in f64, in units of the largest product.
static double errorOf(std::span<const float> x, std::span<const float> products, int64_t K) {
  double worst = 0, largest = 0;
  for (int64_t i = 0; i < K; i += 97)
    for (int64_t j = i; j < K; j += 89) {
      double sum = 0;
      for (size_t t = 0; t < x.size() / K; t++)
        sum += double(x[t * K + i]) * x[t * K + j];
      largest = std::max(largest, std::fabs(sum));
      worst = std::max(worst, std::fabs(products[i * K + j] - sum));
    }
  return worst / largest;
}

int main(int argc, char **argv) {
  CLI::App app;
  std::string targetName;
  std::vector<int64_t> features;
  int64_t tokens = 512;
  int rounds = 3;
  app.add_option("--target", targetName, "a file of targets/ (default: the best that runs here)");
  app.add_option("--tokens", tokens);
  app.add_option("--rounds", rounds);
  app.add_option("features", features)->required();
  CLI11_PARSE(app, argc, argv);
  std::vector<Target> targets = runnableTargets();
  Target target = targets.back();
  for (const Target &candidate : targets)
    if (candidate.name == targetName)
      target = candidate;
  auto pool = ThreadPool::create(1);
  auto context = createContext();
  for (const int64_t K : features) {
    auto kernels = CompiledKernels::compile(*context, loweredFor(*context, target, K), target);
    if (!kernels) {
      fmt::print("{}: {}\n", K, kernels.error().message);
      return 1;
    }
    const std::vector<float> x = randomNormal(tokens * K, 5);
    AlignedBytes columns(3 * K * sizeof(float)), products(K * K * sizeof(float));
    const std::vector<int64_t> args = {reinterpret_cast<int64_t>(x.data()), tokens, columns.address(),
                                       products.address()};
    kernels->runAll("observe", args);
    const double error = errorOf(x, {reinterpret_cast<const float *>(products.address()), size_t(K * K)}, K);
    const double peak = arithmeticPeak(**pool, 0.2);
    double best = 1e9;
    for (int r = 0; r < rounds; r++) {
      const double start = cpuSeconds();
      kernels->runAll("observe", args);
      best = std::min(best, cpuSeconds() - start);
    }
    const double operations = double(tokens) * double(K) * double(K + 1);
    fmt::print("{}, K {}, {} tokens: {:.1f} ms, floor {:.1f} ms; {:.1f} of {:.1f} GFLOP/s: {:.0f} % of the peak; error "
               "{:.0e}\n",
               target.name, K, tokens, best * 1e3, operations / peak * 1e3, operations / best / 1e9, peak / 1e9,
               operations / best / peak * 100, error);
  }
}
