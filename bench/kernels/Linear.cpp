//===- Linear.cpp - speed of matrix products --------------------------------------------------------------------===//
//
// bench-kernels [--target T] [--m M] [--n N] [--k K] [--rounds R] [--exact | --high] [--tiles T,R,t] [--assembly]
// FORMAT...
//
// For each format: y = x Wᵀ for M tokens and for one, checked against f64 first. Each of T threads runs its part of the
// tasks and counts its own CPU time, so that a shared machine disturbs little; the work is cut into pieces whose minima
// over the rounds are summed. The peaks of the processor's dot products, and how fast it reads a matrix of each format
// (in cache) and memory, are measured in the same way in the same run. One token is measured twice: with the same
// weights again and again, and with copies of them that no cache holds.
//
//===----------------------------------------------------------------------------------------------------------------===//

#include "CpuTime.h"
#include "LinearRun.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"
#include "quantc/Pipelines/Pipelines.h"
#include "quantc/Runtime/Cpu.h"
#include "quantc/Runtime/Measure.h"
#include "quantc/Support/Parallel.h"
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstring>

using namespace quantc;
using namespace quantc::test;

/// The sum over pieces of the least time of each, of the slowest thread.
class PieceTimes {
public:
  PieceTimes(int threads, int pieces) : best(threads, std::vector<double>(pieces, 1e9)) {}

  /// Runs body(thread, piece) for all pieces on all threads at once.
  template <typename Body> void round(Body body) {
    parallelFor(best.size(), best.size(), [&](size_t thread) {
      for (size_t piece = 0; piece < best[thread].size(); piece++) {
        const double start = cpuSeconds();
        body(thread, piece);
        best[thread][piece] = std::min(best[thread][piece], cpuSeconds() - start);
      }
    });
  }
  double seconds() const {
    double slowest = 0;
    for (const std::vector<double> &pieces : best) {
      double sum = 0;
      for (double piece : pieces)
        sum += piece;
      slowest = std::max(slowest, sum);
    }
    return slowest;
  }

private:
  std::vector<std::vector<double>> best;
};

static double peak(const PeakDot &dot, int threads, int rounds) {
  if (dot.run(1) == 0)
    return 0;
  PieceTimes times(threads, 20);
  const int64_t chains = 20'000'000 / dot.run(1) * 20;
  for (int r = 0; r < rounds; r++)
    times.round([&](size_t, size_t) { dot.run(chains); });
  return static_cast<double>(dot.run(1)) * static_cast<double>(chains) * 20 * threads / times.seconds() / 1e9;
}

static void printPeaks(const char *title, int rounds) {
  fmt::print("{}, GOP/s on one thread and on two:", title);
  for (const PeakDot &dot : peakDots())
    fmt::print("  {} {:.0f} / {:.0f}", dot.name, peak(dot, 1, rounds), peak(dot, 2, rounds));
  fmt::print("\n");
}

/// Reads 64 bytes, whatever becomes of them.
static void readLine(const std::byte *line, [[maybe_unused]] bool wide) {
#if defined(__x86_64__)
  if (wide)
    asm volatile("vmovdqu64 (%0), %%zmm31" ::"r"(line) : "memory");
  else
    asm volatile(
        "movdqu (%0), %%xmm4\n movdqu 16(%0), %%xmm5\n movdqu 32(%0), %%xmm6\n movdqu 48(%0), %%xmm7" ::"r"(line)
        : "memory", "xmm4", "xmm5", "xmm6", "xmm7");
#elif defined(__aarch64__)
  asm volatile("ldp q4, q5, [%0]\n ldp q6, q7, [%0, #32]" ::"r"(line) : "memory", "v4", "v5", "v6", "v7");
#endif
}

/// Reads the bytes, but for less than 256, as fast as one thread can.
static void readBytes(const std::byte *bytes, size_t count) {
  constexpr size_t streams = 4, step = 64; // one stream waits at the end of each page
  const size_t part = count / streams / step * step;
  const bool wide = cpuHas("avx512f");
  for (size_t i = 0; i < part; i += step)
    for (size_t stream = 0; stream < streams; stream++)
      readLine(bytes + stream * part + i, wide);
}

/// GB/s at which `threads` threads read these bytes.
static double readSpeed(const AlignedBytes &bytes, int threads, int rounds) {
  PieceTimes times(threads, 1);
  const size_t part = bytes.size() / threads / 256 * 256;
  for (int r = 0; r < rounds; r++)
    times.round([&](size_t thread, size_t) { readBytes(bytes.data() + thread * part, part); });
  return static_cast<double>(part) * threads / times.seconds() / 1e9;
}

/// Seconds for all tasks of a kernel on `threads` threads, measured in so many pieces at most.
static double time(const CompiledKernels &kernels, const std::string &name, std::span<const int64_t> args, int threads,
                   int rounds, int mostPieces = 22) {
  const int64_t tasks = kernels.tasks(name, args);
  const int pieces = static_cast<int>(std::min<int64_t>(mostPieces, std::max<int64_t>(1, tasks / threads)));
  PieceTimes times(threads, pieces);
  const int64_t parts = int64_t(threads) * pieces;
  for (int r = 0; r < rounds; r++)
    times.round([&](size_t thread, size_t piece) {
      const int64_t part = static_cast<int64_t>(piece) * threads + static_cast<int64_t>(thread);
      kernels.run(name, args, tasks * part / parts, tasks * (part + 1) / parts);
    });
  return times.seconds();
}

/// Seconds for one token with weights that no cache holds: the mean over copies that fill `memory`.
static double streamTime(const CompiledKernels &kernels, std::vector<int64_t> args, const LinearWeights &weights,
                         AlignedBytes &memory, int threads, int rounds) {
  const size_t bytes = weights.packed.size(), copies = memory.size() / bytes;
  if (copies == 0)
    return 0;
  for (size_t copy = 0; copy < copies; copy++)
    std::memcpy(memory.data() + copy * bytes, weights.packed.data(), bytes);
  const int64_t tasks = kernels.tasks("linear", args);
  PieceTimes times(threads, 1);
  for (int r = 0; r < rounds; r++)
    times.round([&](size_t thread, size_t) {
      std::vector<int64_t> own = args;
      for (size_t copy = 0; copy < copies; copy++) {
        own[2] = memory.address() + static_cast<int64_t>(copy * bytes);
        kernels.run("linear", own, tasks * thread / threads, tasks * (thread + 1) / threads);
      }
    });
  return times.seconds() / static_cast<double>(copies);
}

int main(int argc, char **argv) {
  CLI::App app("speed of matrix products");
  std::string targetName;
  std::vector<std::string> formats;
  int64_t M = 512, N = 5632, K = 2048;
  int rounds = 10;
  bool exact = false, high = false, assembly = false;
  std::vector<int64_t> tiles;
  app.add_option("--target", targetName, "a file of targets/ (default: the best that runs here)");
  app.add_option("--m", M);
  app.add_option("--n", N);
  app.add_option("--k", K);
  app.add_option("--rounds", rounds);
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
  const size_t memoryBytes = assembly ? 64 : size_t(256) << 20;
  AlignedBytes memory(memoryBytes, std::byte(1));
  if (!assembly) {
    fmt::print("target {}, N {}, K {}\n", target.name, N, K);
    printPeaks("peaks", rounds);
  }

  auto context = createContext();
  for (const std::string &spec : formats) {
    LinearCase linear{.spec = spec, .N = N, .K = K, .exact = exact, .high = high};
    auto weights = LinearWeights::create(*context, linear);
    if (assembly && weights) {
      auto module =
          mlir::parseSourceString<mlir::ModuleOp>(linearText(*context, linear, weights->activations), context.get());
      Status lowered = lowerKernels(*module, target);
      auto text =
          lowered ? emitCode(*module, CodeOutput::Assembly) : Result<std::string>(tl::unexpected(lowered.error()));
      fmt::print("{}\n", text ? *text : text.error().message);
      continue;
    }
    const double start = cpuSeconds();
    auto kernels = weights
                       ? CompiledKernels::compile(*context, linearText(*context, linear, weights->activations), target)
                       : Result<CompiledKernels>(tl::unexpected(weights.error()));
    if (!kernels) {
      fmt::print("{}: {}\n", spec, kernels.error().message);
      continue;
    }
    const double compileSeconds = cpuSeconds() - start;
    std::vector<float> x = randomNormal(M * K, 5), y(M * N);
    AlignedBytes codes(M * activationBytes(K));
    const bool quantized = !weights->activations.empty();
    auto argsFor = [&](int64_t tokens) {
      return std::vector<int64_t>{quantized ? codes.address() : reinterpret_cast<int64_t>(x.data()), tokens,
                                  weights->packed.address(), reinterpret_cast<int64_t>(y.data()), tokens};
    };
    std::vector<int64_t> encodeArgs = {reinterpret_cast<int64_t>(x.data()), M, codes.address(), M};
    if (quantized)
      kernels->runAll("encode", encodeArgs);
    kernels->runAll("linear", argsFor(M));

    double error = 0, norm = 0;
    const std::vector<double> activations = activationsOf(*weights, x, M, K);
    std::mt19937 engine(1);
    for (int i = 0; i < 500; i++) {
      const int64_t m = engine() % M, n = engine() % N;
      double sum = 0;
      for (int64_t k = 0; k < K; k++)
        sum += activations[m * K + k] * weights->values[n * K + k];
      error += (y[m * N + n] - sum) * (y[m * N + n] - sum);
      norm += sum * sum;
    }
    const double operations = 2.0 * static_cast<double>(M) * static_cast<double>(N) * static_cast<double>(K);
    double gemm[2], gemv[2];
    for (int threads : {1, 2}) {
      gemm[threads - 1] = operations / time(*kernels, "linear", argsFor(M), threads, rounds) / 1e9;
      gemv[threads - 1] = time(*kernels, "linear", argsFor(1), threads, 4 * rounds, 1);
    }
    const double streamed[] = {streamTime(*kernels, argsFor(1), *weights, memory, 1, rounds),
                               streamTime(*kernels, argsFor(1), *weights, memory, 2, rounds)};
    const double encodeSeconds = quantized ? time(*kernels, "encode", encodeArgs, 1, rounds) : 0;
    const double bytes = static_cast<double>(weights->packed.size());
    fmt::print(
        "{:14} NMSE {:.0e}  M {}: {:.0f} / {:.0f} GOP/s  M 1: {:.0f} / {:.0f} us ({:.0f} / {:.0f} GB/s of {:.0f} / "
        "{:.0f}), from memory {:.0f} / {:.0f} us ({:.1f} / {:.1f} GB/s of {:.1f} / {:.1f})  encode {:.0f} us  "
        "compile {:.2f} s, {} KB\n",
        spec, error / norm, M, gemm[0], gemm[1], gemv[0] * 1e6, gemv[1] * 1e6, bytes / gemv[0] / 1e9,
        bytes / gemv[1] / 1e9, readSpeed(weights->packed, 1, 4 * rounds), readSpeed(weights->packed, 2, 4 * rounds),
        streamed[0] * 1e6, streamed[1] * 1e6, bytes / streamed[0] / 1e9, bytes / streamed[1] / 1e9,
        readSpeed(memory, 1, rounds), readSpeed(memory, 2, rounds), encodeSeconds * 1e6, compileSeconds,
        kernels->bytes() / 1024);
    std::fflush(stdout);
  }
  if (!assembly)
    printPeaks("peaks again", rounds);
}
