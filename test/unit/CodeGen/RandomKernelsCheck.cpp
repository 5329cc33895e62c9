//===- RandomKernelsCheck.cpp - random formats, multiplied by their kernels -------------------------------------===//
//
//   random-kernels-check DIR
//
// Each case of the folder is repacked and multiplied by kernels of the least and the best target that run here. Exact
// kernels must give the bits of a scalar loop over the values of the script; the error of fast kernels is bounded
// against f64. A format that kernels cannot have is counted with the reason that the compiler gives.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "../Format/RandomCase.h"
#include "LinearRun.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Format/Factoring.h"
#include "quantc/Format/Repack.h"
#include <cmath>
#include <regex>

using namespace quantc;
using namespace quantc::test;

static std::filesystem::path folder;

namespace {

/// A case, its weights in kernel storage, and bounds.
class RandomWeights {
public:
  static Result<RandomWeights> create(mlir::MLIRContext &context, Catalog &catalog, const RandomCase &random,
                                      bool exact);

  LinearWeights weights;
  std::vector<float> bounds; ///< N x K: what one column can add to an intermediate result, for an activation of 1
};

/// What columns can add to the intermediate results of the normal form, from the script's values where there is none.
Result<std::vector<float>> boundsOf(std::shared_ptr<const Format> format, const FieldValues &fields,
                                    const RandomCase &random, bool factored) {
  const auto [N, K] = std::pair(random.N, random.K);
  std::vector<float> bounds(random.values.size());
  if (!factored) {
    std::ranges::transform(random.values, bounds.begin(), [](float v) { return std::fabs(v); });
    return bounds;
  }
  const Factoring factoring(format);
  for (const DotTerm &term : factoring.terms()) {
    // A code is an unsigned byte plus an offset, each of which is summed up.
    const double code =
        term.kind == CodeKind::None ? 1 : std::max(std::fabs(term.range.low), std::fabs(term.range.high)) * 2;
    std::vector<float> product(bounds.size(), static_cast<float>(code));
    for (const Factor &factor : term.group) {
      QUANTC_ASSIGN(Program program, Program::compile(*format, factor.expr));
      std::vector<float> floats(K);
      std::vector<int64_t> integers(K);
      for (int64_t n = 0; n < N; n++) {
        if (program.type() == ValueType::Integer) {
          program.integers(fields, N, K, n, 0, K, integers.data());
          std::ranges::copy(integers, floats.begin());
        } else {
          program.floats(fields, N, K, n, 0, K, floats.data());
        }
        for (int64_t k = 0; k < K; k++)
          product[n * K + k] *= std::ldexp(std::fabs(floats[k]), static_cast<int>(factor.exponent));
      }
    }
    std::ranges::transform(bounds, product, bounds.begin(), std::plus());
  }
  return bounds;
}

/// Fails with "… no kernel storage …" where the format has none.
Result<RandomWeights> RandomWeights::create(mlir::MLIRContext &context, Catalog &catalog, const RandomCase &random,
                                            bool exact) {
  QUANTC_ASSIGN(qf::ElemType elem, qf::ElemType::of(&context, random.spec));
  QUANTC_ASSIGN(qf::BlockType block, qf::BlockType::of(elem, 16));
  QUANTC_TRY(block.getKernelStorage()->checkShape(random.N, random.K));
  QUANTC_ASSIGN(auto container, catalog.container(random.container));
  QUANTC_ASSIGN(Binding binding, Binding::create(container, elem.getFormat(), random.N, random.K));
  QUANTC_ASSIGN(FieldValues fields, binding.read(random.tensors));
  QUANTC_ASSIGN(Repacker repacker, Repacker::create(block.getKernelStorage()));
  AlignedBytes packed(block.getKernelStorage()->bytes(random.N, random.K));
  QUANTC_TRY(repacker.fromFields(fields, random.N, random.K, {packed.data(), packed.size()}));
  QUANTC_ASSIGN(const std::string activations, exact ? Result<std::string>("") : activationsFor(block));
  QUANTC_ASSIGN(auto bounds, boundsOf(elem.getFormat(), fields, random, !activations.empty()));
  return RandomWeights{{std::move(packed), random.values, activations}, std::move(bounds)};
}

/// The largest error of y, relative to what its columns can add; rows whose values or sums are no usual numbers are
/// left out.
double largestError(const RandomWeights &random, const std::vector<float> &y, const std::vector<double> &x, int64_t M,
                    int64_t N, int64_t K) {
  double largest = 0;
  for (int64_t m = 0; m < M; m++)
    for (int64_t n = 0; n < N; n++) {
      double sum = 0, bound = 0;
      for (int64_t k = 0; k < K; k++) {
        sum += x[m * K + k] * random.weights.values[n * K + k];
        bound += std::fabs(x[m * K + k]) * random.bounds[n * K + k];
      }
      if (!std::isfinite(sum)) // y must say so; what it is depends on the order of additions
        largest = std::isfinite(y[m * N + n]) ? INFINITY : largest;
      else if (bound > 1e-30 && bound < 1e30)
        largest = std::isnan(y[m * N + n]) ? INFINITY : std::max(largest, std::fabs(y[m * N + n] - sum) / bound);
    }
  return largest;
}

class RandomKernels : public testing::Test {
protected:
  RandomKernels()
      : catalog(Catalog::open(QUANTC_SOURCE_DIR).value()), context(createContext()), targets(runnableTargets()) {
    context->getOrLoadDialect<qf::QFDialect>()->setCatalog(catalog);
    if (targets.size() > 2)
      targets.erase(targets.begin() + 1, targets.end() - 1);
    // Small register tiles: most of the time goes into LLVM, and M has whole ones and a rest.
    for (Target &target : targets) {
      target.tiles.back() = 2;
      if (target.matrix)
        target.matrix->tokens = 16;
    }
  }

  /// Whether the kernels have activations in codes. Fails where the format has no kernels.
  Result<bool> check(const RandomCase &random, bool exact) {
    const auto [N, K] = std::pair(random.N, random.K);
    const LinearCase linear{.spec = random.spec, .N = N, .K = K, .exact = exact};
    QUANTC_ASSIGN(const RandomWeights operands, RandomWeights::create(*context, *catalog, random, exact));
    const LinearWeights &weights = operands.weights;
    constexpr int64_t M = 21;
    const std::vector<float> x = randomNormal(M * K, 7);
    std::vector<float> first;
    for (const Target &target : targets) {
      SCOPED_TRACE(fmt::format("{}{}", target.name, exact ? " exact" : ""));
      QUANTC_ASSIGN(CompiledKernels kernels,
                    CompiledKernels::compile(*context, linearText(*context, linear, weights.activations), target));
      const LinearRun run(linear, weights, std::move(kernels));
      const std::vector<float> y = run.run(x, M);
      EXPECT_EQ(y.size(), M * N) << "written past the end";
      if (exact) {
        EXPECT_TRUE(sameValues(y, exactProduct(x, random.values, M, N, K))) << "differs from the scalar loop";
      } else {
        const double error = largestError(operands, y, activationsOf(weights, x, M, K), M, N, K);
        EXPECT_LT(error, weights.hasHalfActivations() ? largestOfHalves : largestAllowed);
        worst = std::max(worst, error);
      }
      if (&target == &targets.front())
        first = y;
      if (!weights.hasHalfActivations())
        EXPECT_TRUE(sameValues(y, first)) << "differs from the first target";
      for (int64_t some : {1, 3}) {
        EXPECT_TRUE(sameValues(run.run(x, some, 1), std::span(y).first(some * N))) << some << " tokens";
      }
    }
    return !weights.activations.empty();
  }

  static constexpr double largestAllowed = 2e-6, largestOfHalves = 1.0 / 256;
  std::shared_ptr<Catalog> catalog;
  std::unique_ptr<mlir::MLIRContext> context;
  std::vector<Target> targets;
  double worst = 0;
};

/// Why a format has no kernels, without the names of this one; nothing where the message says something else.
std::optional<std::string> withoutKernels(const std::string &message) {
  std::smatch found;
  if (!std::regex_search(message, found, std::regex("(has no kernel storage.*?: |has no code for .*?; )(.*)")))
    return {};
  return std::regex_replace(found[2].str(), std::regex("'[^']*'|[0-9]+"), "_");
}

TEST_F(RandomKernels, MultiplyAsTheirValuesDo) {
  int cases = 0, integer = 0, without = 0;
  std::map<std::string, int> reasons;
  for (const std::filesystem::path &path : RandomCase::list(folder)) {
    SCOPED_TRACE(path.string());
    cases++;
    auto random = RandomCase::open(path, *catalog);
    ASSERT_TRUE(random) << random.error().message;
    Result<bool> checked = check(*random, true);
    if (checked)
      checked = check(*random, false);
    if (checked) {
      integer += *checked;
    } else if (auto reason = withoutKernels(checked.error().message)) {
      without++;
      reasons[*reason]++;
    } else {
      ADD_FAILURE() << checked.error().message;
    }
  }
  std::printf(
      "%d random formats on %s and %s: kernels of %d, %d of them with activations in codes; largest error %.1e\n",
      cases, targets.front().name.c_str(), targets.back().name.c_str(), cases - without, integer, worst);
  for (const auto &[reason, count] : reasons)
    std::printf("%5d without kernels: %s\n", count, reason.c_str());
  EXPECT_LT(without, cases / 2 + 5) << "too many have no kernels";
}

} // namespace

int main(int argc, char **argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc != 2) {
    std::fprintf(stderr, "usage: random-kernels-check DIR\n");
    return 2;
  }
  folder = argv[1];
  return RUN_ALL_TESTS();
}
