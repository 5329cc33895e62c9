//===- LinearTest.cpp - matrix products against the reference decode --------------------------------------------===//
//
// Exact kernels: bit-equal to a scalar loop. Fast kernels: NMSE against f64 on the same activations; the same bits on
// every target, but for bf16 activations, and for every number of tokens.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "LinearRun.h"
#include "quantc/Format/Repack.h"
#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <numeric>

using namespace quantc;
using namespace quantc::test;

namespace {

/// The error of y relative to the f64 product with activations x, M x K.
double normalizedError(const std::vector<float> &y, const std::vector<float> &w, int64_t M, int64_t N, int64_t K,
                       double offset, const std::vector<double> &x) {
  double error = 0, norm = 0;
  for (int64_t m = 0; m < M; m++)
    for (int64_t n = 0; n < N; n++) {
      double sum = offset;
      for (int64_t k = 0; k < K; k++)
        sum += x[m * K + k] * w[n * K + k];
      error += (y[m * N + n] - sum) * (y[m * N + n] - sum);
      norm += sum * sum;
    }
  return error / norm;
}

bool sameBits(const std::vector<float> &a, const std::vector<float> &b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

class LinearTest : public testing::TestWithParam<const char *> {
protected:
  static mlir::MLIRContext &context() {
    static std::unique_ptr<mlir::MLIRContext> shared = [] {
      std::unique_ptr<mlir::MLIRContext> context = createContext();
      const std::filesystem::path source = QUANTC_SOURCE_DIR,
                                  files[] = {source / "test/unit/CodeGen/Inputs/counts_down.qf",
                                             source / "test/unit/CodeGen/Inputs/two_codes.qf",
                                             source / "test/unit/CodeGen/Inputs/two_integers.qf"};
      context->getOrLoadDialect<qf::QFDialect>()->setCatalog(Catalog::open(source, files).value());
      return context;
    }();
    return *shared;
  }

  /// The least number of columns that the format can have, and at least 64.
  static int64_t columns() {
    const auto format = qf::ElemType::of(&context(), GetParam())->getFormat();
    return std::lcm<int64_t>(64, format->block() ? format->block()->columns : 1);
  }

  /// Checks a case for each number of tokens, on each target.
  void check(const LinearCase &linear, std::vector<int64_t> tokens) {
    SCOPED_TRACE(fmt::format("{} N {} K {}{}", linear.spec, linear.N, linear.K, linear.exact ? " exact" : ""));
    Result<LinearWeights> weights = LinearWeights::create(context(), linear);
    ASSERT_TRUE(weights) << weights.error().message;
    const int64_t most = *std::max_element(tokens.begin(), tokens.end());
    const std::vector<float> x = randomNormal(most * linear.K, 7);
    std::optional<std::vector<float>> first;
    for (const Target &target : testableTargets()) {
      SCOPED_TRACE(target.name);
      auto kernels = CompiledKernels::compile(context(), linearText(context(), linear, weights->activations), target);
      ASSERT_TRUE(kernels) << kernels.error().message;
      LinearRun run(linear, *weights, std::move(*kernels));
      const std::vector<float> y = run.run(x, most);
      ASSERT_FALSE(y.empty()) << "written past the end";
      if (!first || weights->hasHalfActivations())
        checkValues(linear, *weights, x, y, most);
      else
        EXPECT_TRUE(sameBits(*first, y)) << "differs from the first target";
      if (!first)
        first = y;
      for (int64_t M : tokens) {
        const std::vector<float> some = run.run(x, M, 1);
        ASSERT_FALSE(some.empty()) << "written past the end";
        EXPECT_TRUE(std::memcmp(some.data(), y.data(), some.size() * sizeof(float)) == 0)
            << M << " tokens give other bits";
      }
    }
  }

  void checkValues(const LinearCase &linear, const LinearWeights &weights, const std::vector<float> &x,
                   const std::vector<float> &y, int64_t M) {
    const auto &[spec, N, K, exact, high, residual] = linear;
    if (exact) {
      EXPECT_TRUE(sameBits(y, exactProduct(x, weights.values, M, N, K))) << "differs from the scalar loop";
      return;
    }
    const double error =
        normalizedError(y, weights.values, M, N, K, residual ? 0.5 : 0, activationsOf(weights, x, M, K));
    // Codes that are no bf16 are rounded: half of 2^-8, squared.
    const bool rounded = weights.hasHalfActivations() && (spec.starts_with("nf4") || spec.starts_with("fp4"));
    EXPECT_LT(error, rounded ? 4e-6 : 1e-10);
  }
};

TEST_P(LinearTest, Fast) {
  check({GetParam(), 37, 3 * columns()}, {1, 3, 4, 8, 13, 24, 85});
}

// Codes that are bf16 numbers, integers among them, with bf16 activations.
using HighTest = LinearTest;
TEST_P(HighTest, Values) {
  check({.spec = GetParam(), .N = 37, .K = 3 * columns(), .high = true}, {1, 3, 8, 24, 85});
}

TEST_P(LinearTest, Exact) {
  check({.spec = GetParam(), .N = 21, .K = 2 * columns(), .exact = true}, {1, 13});
}

// Every residue of the tile sizes: 16 rows, 8 tokens, blocks of columns.
TEST_P(LinearTest, DISABLED_Full) {
  std::vector<int64_t> tokens;
  for (int64_t M = 1; M <= 17; M++)
    tokens.push_back(M);
  for (int64_t N = 1; N <= 17; N++)
    for (bool high : {false, true})
      check({.spec = GetParam(), .N = N, .K = 2 * columns(), .high = high}, {1, 8});
  for (int64_t N : {64, 79, 128, 200})
    for (int64_t blocks : {1, 2, 3, 5})
      for (bool exact : {false, true})
        check({.spec = GetParam(), .N = N, .K = blocks * columns(), .exact = exact, .residual = blocks == 2 && !exact},
              tokens);
  for (int64_t N : {79, 128})
    check({.spec = GetParam(), .N = N, .K = 3 * columns(), .high = true}, tokens);
}

static std::string nameOf(const testing::TestParamInfo<const char *> &info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), ':', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Formats, LinearTest,
                         testing::Values("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_k", "q2_k", "q3_k",
                                         "q4_k", "q6_k", "int:2:g32", "int:3:g64", "int:4:g128", "int:4:g32:asym",
                                         "int:8:gK", "int:4:gK:asym", "nf4", "nf4:dq", "fp4", "iq4_nl", "iq4_xs",
                                         "mxfp4", "nvfp4", "nvfp4_global", "fp8", "fp8:e5m2", "mxfp8", "hqq", "tq1_0",
                                         "tq2_0", "int8_row", "q1_0", "counts_down", "two_codes", "two_integers",
                                         "q2_0", "n3_k", "mlx"),
                         nameOf);
INSTANTIATE_TEST_SUITE_P(Formats, HighTest, testing::Values("q8_0", "q2_k", "q4_k", "int:4:gK:asym", "iq4_nl"), nameOf);

TEST_F(LinearTest, ResidualIsFused) {
  check({.spec = "q4_k", .N = 48, .K = 512, .residual = true}, {1, 9, 16});
}

// Kernels of one module whose formats have different tables of one name.
TEST_F(LinearTest, TablesOfOneName) {
  const LinearCase first{.spec = "iq2_xxs", .N = 16, .K = 256, .exact = true}, second{"iq3_xxs", 16, 256, true};
  Result<LinearWeights> weights = LinearWeights::create(context(), second);
  ASSERT_TRUE(weights) << weights.error().message;
  std::string other = linearText(context(), first, "");
  other.replace(other.find("@linear"), 7, "@other");
  const std::vector<float> x = randomNormal(second.K, 7);
  auto kernels =
      CompiledKernels::compile(context(), other + linearText(context(), second, ""), runnableTargets().back());
  ASSERT_TRUE(kernels) << kernels.error().message;
  checkValues(second, *weights, x, LinearRun(second, *weights, std::move(*kernels)).run(x, 1), 1);
}

/// What a byte means as a float of 4 bits of exponent and 3 of fraction without infinities, or of 5 and 2 with them
/// (OCP 8-bit floating point specification 1.0, table 1).
float valueOfByte(unsigned byte, bool wideExponent) {
  const int fractionBits = wideExponent ? 2 : 3, bias = wideExponent ? 15 : 7;
  const int exponent = (byte & 0x7f) >> fractionBits, fraction = byte & ((1 << fractionBits) - 1);
  float value = exponent ? std::ldexp(float((1 << fractionBits) + fraction), exponent - bias - fractionBits)
                         : std::ldexp(float(fraction), 1 - bias - fractionBits);
  if (wideExponent && exponent == 31)
    value = fraction ? NAN : INFINITY;
  if (!wideExponent && (byte & 0x7f) == 0x7f)
    value = NAN;
  return byte & 0x80 ? -value : value;
}

/// Exact kernels of every target on a weight whose row n has the code n once, in `q`, between codes of `rest`, whose
/// value is 0; all scales `s` are 1.
void checkCodes(mlir::MLIRContext &context, const std::string &spec, int64_t codes, unsigned rest,
                llvm::function_ref<float(unsigned)> valueOf) {
  SCOPED_TRACE(spec);
  const LinearCase linear{.spec = spec, .N = codes, .K = 64, .exact = true};
  const auto elem = qf::ElemType::of(&context, spec);
  ASSERT_TRUE(elem) << elem.error().message;
  const auto block = qf::BlockType::of(*elem, 16);
  ASSERT_TRUE(block) << block.error().message;
  const Format &format = *elem->getFormat();
  FieldValues fields = zeroFields(format, linear.N, linear.K);
  std::vector<uint64_t> &scales = fields[format.field("s")->index], &q = fields[format.field("q")->index];
  std::ranges::fill(scales, std::bit_cast<uint32_t>(1.0f));
  std::ranges::fill(q, rest);
  for (int64_t n = 0; n < linear.N; n++)
    q[n * linear.K + n % linear.K] = static_cast<uint64_t>(n);
  LinearWeights weights{.packed = AlignedBytes(block->getKernelStorage()->bytes(linear.N, linear.K))};
  auto repacker = Repacker::create(block->getKernelStorage());
  ASSERT_TRUE(repacker) << repacker.error().message;
  ASSERT_TRUE(repacker->fromFields(fields, linear.N, linear.K, {weights.packed.data(), weights.packed.size()}));
  const std::vector<float> ones(linear.K, 1);
  for (const Target &target : testableTargets()) {
    SCOPED_TRACE(target.name);
    auto kernels = CompiledKernels::compile(context, linearText(context, linear, ""), target);
    ASSERT_TRUE(kernels) << kernels.error().message;
    const std::vector<float> y = LinearRun(linear, weights, std::move(*kernels)).run(ones, 1);
    for (unsigned code = 0; code < codes; code++) {
      const float want = valueOf(code);
      EXPECT_TRUE(y[code] == want || (std::isnan(y[code]) && std::isnan(want)))
          << "code " << code << ": " << y[code] << " instead of " << want;
    }
  }
}

TEST_F(LinearTest, EveryCodeOfSmallFloats) {
  for (const bool wideExponent : {false, true})
    checkCodes(context(), wideExponent ? "fp8:e5m2" : "fp8", 256, 0,
               [&](unsigned byte) { return valueOfByte(byte, wideExponent); });
}

TEST_F(LinearTest, EveryComparisonOfIntegers) {
  const std::filesystem::path file = std::filesystem::path(testing::TempDir()) / "comparisons.qf";
  std::ofstream(file) << "format comparisons\nq : u4 per weight\ns : f32 per 32\nvalue = s * ((q <= 7) + 2 * (q < 5) + "
                         "4 * (q >= 9) + 8 * (q > 3) + 16 * (q == 6) + 32 * (q != 11) - 12)\n";
  const std::shared_ptr<Catalog> catalog = Catalog::open(QUANTC_SOURCE_DIR).value();
  const Status added = catalog->addFile(file);
  ASSERT_TRUE(added) << added.error().message;
  const std::unique_ptr<mlir::MLIRContext> own = createContext();
  own->getOrLoadDialect<qf::QFDialect>()->setCatalog(catalog);
  checkCodes(*own, "comparisons", 16, 11, [](unsigned q) {
    return float((q <= 7) + 2 * (q < 5) + 4 * (q >= 9) + 8 * (q > 3) + 16 * (q == 6) + 32 * (q != 11) - 12);
  });
}

// Columns beyond a whole group of activations, and rows of one block only.
TEST_F(LinearTest, RaggedColumns) {
  for (int64_t K : {1, 31, 33, 100, 257})
    check({.spec = "f16", .N = 5, .K = K}, {1, 9});
  for (int64_t K : {31, 257})
    check({.spec = "bf16", .N = 5, .K = K}, {1, 9});
  for (int64_t K : {32, 96, 288, 544})
    check({.spec = "int:8:gK", .N = 16, .K = K}, {1, 9});
  for (int64_t K : {32, 160})
    check({.spec = "int:4:g64:asym", .N = 16, .K = K}, {1, 9});
}

} // namespace
