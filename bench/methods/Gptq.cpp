//===- Gptq.cpp - speed of the phases of GPTQ --------------------------------------------------------------------===//
//
// bench-gptq [--format SPEC] [--n N] [--threads T] K...
//
// For each number of columns K, a weight of N rows (default: K) of random numbers whose inputs are correlated: the time
// of each phase, its operations (docs/Methods.md), and the share that this is of the f32 peak of the same run.
//
//===-----------------------------------------------------------------------------------------------------------===//

#include "quantc/Methods/Gptq.h"
#include "quantc/Runtime/Measure.h"
#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <random>

using namespace quantc;

static std::vector<float> randomNormal(int64_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(count));
  for (float &v : values)
    v = normal(random);
  return values;
}

/// Second moments of inputs that are correlated as a chain is: the correlation halves from one feature to the next.
static InputStatistics chain(int64_t K) {
  InputStatistics statistics{.K = K, .tokens = 65536};
  statistics.hessian.resize(K * K);
  for (int64_t i = 0; i < K; i++)
    for (int64_t j = std::max<int64_t>(0, i - 60); j < std::min(K, i + 60); j++)
      statistics.hessian[i * K + j] = std::ldexp(1.0f, -static_cast<int>(std::abs(i - j)));
  return statistics;
}

template <typename Body> static double seconds(Body body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

static Status bench(const Format &format, int64_t N, int64_t K, ThreadPool &pool) {
  const std::vector<float> weight = randomNormal(N * K, 1);
  const InputStatistics statistics = chain(K);
  GptqOptions options{.refit = false};
  Status status;
  auto check = [&](const auto &result) {
    if (!result && status)
      status = fail("{}", result.error().message);
  };
  const double peak = arithmeticPeak(pool, 0.2);
  Result<GptqInputsRef> inputs = fail("not made");
  auto factor = [&] { inputs = gptqInputs(statistics, options, pool.threads()), check(inputs); };
  auto round = [&] { check(gptq(format, weight, N, K, **inputs, options, pool.threads())); };
  const double factored = seconds(factor);
  QUANTC_TRY(status);
  const double fed = seconds(round);
  options.refit = true;
  factor();
  const double refitted = seconds(round);
  QUANTC_TRY(status);
  const double cube = 2.0 / 3 * double(K) * double(K) * double(K), square = double(N) * double(K) * double(K);
  for (auto [name, time, operations] : {std::tuple("factor", factored, cube), std::tuple("feedback", fed, square),
                                        std::tuple("refit", refitted - fed, 4 * square)})
    fmt::print("{} N {} K {} {:9} {:8.2f} s {:7.1f} of {:.0f} GFLOP/s: {:.0f} %\n", format.spec(), N, K, name, time,
               operations / time / 1e9, peak / 1e9, operations / time / peak * 100);
  return {};
}

int main(int argc, char **argv) {
  CLI::App app;
  std::string spec = "int:4:g128";
  int64_t rows = 0;
  unsigned threads = 0;
  std::vector<int64_t> columns;
  app.add_option("--format", spec);
  app.add_option("--n", rows);
  app.add_option("--threads", threads);
  app.add_option("columns", columns)->required();
  CLI11_PARSE(app, argc, argv);
  auto run = [&]() -> Status {
    QUANTC_ASSIGN(const auto catalog, Catalog::open(QUANTC_SOURCE_DIR));
    QUANTC_ASSIGN(const auto format, catalog->format(spec));
    QUANTC_ASSIGN(const auto pool, ThreadPool::create(threads));
    for (int64_t K : columns)
      QUANTC_TRY(bench(*format, rows ? rows : K, K, *pool));
    return {};
  };
  if (const Status status = run(); !status) {
    fmt::print(stderr, "bench-gptq: {}\n", status.error().message);
    return 1;
  }
}
