//===- LinearTest.cpp - matrix products of GPUs against f64 -------------------------------------------------------===//
//
// In the emulator, on the IR that becomes PTX: every format, few tokens and many, over the residues of the tiles.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "ExactCodes.h"
#include "GPULinear.h"
#include "mlir/IR/MLIRContext.h"
#include "quantc/Format/FragmentStorage.h"
#include <gmock/gmock.h>

using namespace quantc;
using namespace quantc::test;

namespace {

mlir::MLIRContext &context() {
  static std::unique_ptr<mlir::MLIRContext> shared = createContext();
  return *shared;
}

/// What the rounding of codes to the activations' type may cost: nothing where they are integers that it has.
double limitOf(const std::string &spec, const std::string &activations) {
  const auto elem = qf::ElemType::of(&context(), spec).value();
  const Factoring factoring(qf::BlockType::of(elem, 16)->getKernelStorage()->format());
  const bool isF16 = activations == "f16";
  return hasExactCodes(factoring, isF16 ? 2048 : 256) ? 1e-6 : isF16 ? 5e-4 : 4e-3;
}

class GPULinearTest : public testing::TestWithParam<const char *> {
protected:
  /// Columns of the least weight that a format can have.
  static int64_t columns() {
    const auto elem = qf::ElemType::of(&context(), GetParam()).value();
    return FragmentStorage::derive(qf::BlockType::of(elem, 16)->getKernelStorage()).value().columns();
  }

  /// Columns that a format can have, which fill no units: a tile of 64 and a bit, or the least that is more.
  static int64_t raggedColumns() {
    const auto elem = qf::ElemType::of(&context(), GetParam()).value();
    const FragmentStorage storage = FragmentStorage::derive(qf::BlockType::of(elem, 16)->getKernelStorage()).value();
    int64_t K = storage.columns() + 1;
    while (!storage.checkShape(16, K))
      K++;
    return K;
  }

  void check(const GPULinearCase &linear, std::vector<int64_t> tokens, std::optional<double> limit = {}) {
    SCOPED_TRACE(fmt::format("{} N {} K {} {}", linear.spec, linear.N, linear.K, linear.activations));
    Result<GPULinear> kernel = GPULinear::create(context(), linear);
    ASSERT_TRUE(kernel) << kernel.error().message;
    for (int64_t M : tokens) {
      Result<double> error = kernel->error(M, static_cast<uint64_t>(M));
      ASSERT_TRUE(error) << M << " tokens: " << error.error().message;
      EXPECT_LT(*error, limit.value_or(limitOf(linear.spec, linear.activations))) << M << " tokens";
      worst = std::max(worst, *error);
    }
    RecordProperty("worst", fmt::format("{:.1e}", worst));
  }

  double worst = 0;
};

TEST_P(GPULinearTest, Stream) {
  check({.spec = GetParam(), .N = 32, .K = 2 * columns(), .tokens = 3}, {3});
}

// Units of columns that are no multiple of the warps of a block: some warps have one more.
TEST_P(GPULinearTest, UnevenParts) {
  check({.spec = GetParam(), .N = 16, .K = 11 * columns(), .tokens = 2}, {2});
}

// 64 rows are two warps; four stages and fewer; tokens around the tiles of 8 and of a block.
TEST_P(GPULinearTest, Tiled) {
  check({.spec = GetParam(), .N = 64, .K = columns() < 128 ? 384 : 2 * columns()}, {1, 7, 9, 65});
}

TEST_P(GPULinearTest, BF16) {
  check({.spec = GetParam(), .N = 16, .K = columns(), .tokens = 8, .activations = "bf16"}, {8});
}

// Groups of four warps, one and two of them: as tiles, but for the instruction.
TEST_P(GPULinearTest, WarpGroups) {
  const int64_t K = columns() < 128 ? 384 : 2 * columns();
  check({.spec = GetParam(), .N = 64, .K = K, .target = "sm_90a"}, {1, 7, 129});
  check({.spec = GetParam(), .N = 128, .K = K, .activations = "bf16", .epilogue = true, .target = "sm_90a"}, {9});
}

// Rows that fill no tile: the last one has one row, or lacks one, in kernels for few tokens and for many.
TEST_P(GPULinearTest, RaggedRows) {
  check({.spec = GetParam(), .N = 33, .K = columns(), .tokens = 1}, {1});
  check({.spec = GetParam(), .N = 47, .K = columns() < 128 ? 384 : 2 * columns()}, {9});
}

// Columns that fill no units.
TEST_P(GPULinearTest, RaggedColumns) {
  check({.spec = GetParam(), .N = 17, .K = raggedColumns(), .tokens = 2}, {2});
  check({.spec = GetParam(), .N = 32, .K = raggedColumns()}, {9});
}

// Every residue of the tiles.
TEST_P(GPULinearTest, DISABLED_Full) {
  for (const char *activations : {"f16", "bf16"}) {
    for (int64_t M = 1; M <= 8; M++)
      for (int64_t blocks : {1, 2, 3, 8, 9, 15, 17, 22})
        check({.spec = GetParam(), .N = 16 * blocks, .K = blocks * columns(), .tokens = M, .activations = activations},
              {M});
    std::vector<int64_t> tokens;
    for (int64_t M = 1; M <= 17; M++)
      tokens.insert(tokens.end(), {M, M + 48, M + 120});
    for (int64_t N : {16, 32, 48, 96, 128, 160})
      for (int64_t blocks : {2, 3, 5})
        check({.spec = GetParam(),
               .N = N,
               .K = std::max<int64_t>(128, blocks * columns()),
               .activations = activations,
               .epilogue = blocks == 3},
              tokens);
  }
}

// Every residue of 8 tokens, tiles of every number of tokens, and of steps of the sum around the stages.
TEST_P(GPULinearTest, DISABLED_FullWarpGroups) {
  for (const char *activations : {"f16", "bf16"})
    for (int64_t N : {64, 128, 192})
      for (int64_t blocks : {2, 3, 5}) {
        GPULinearCase linear{.spec = GetParam(),
                             .N = N,
                             .K = std::max<int64_t>(128, blocks * columns()),
                             .activations = activations,
                             .epilogue = blocks == 3,
                             .target = "sm_90a"};
        std::vector<int64_t> tokens;
        for (int64_t M = 1; M <= 9; M++)
          tokens.insert(tokens.end(), {M, M + 120});
        check(linear, tokens);
        for (int64_t M : {9, 16, 17, 33, 64, 65}) {
          linear.tokens = M;
          check(linear, {M});
        }
      }
}

INSTANTIATE_TEST_SUITE_P(Formats, GPULinearTest,
                         testing::Values("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "q5_k", "q2_k",
                                         "q3_k", "q4_k", "q6_k", "int:2:g32", "int:3:g64", "int:4:g128",
                                         "int:4:g32:asym", "int:4:g96", "int:8:gK", "int:4:gK:asym", "nf4", "nf4:dq",
                                         "fp4", "iq4_nl", "iq4_xs", "mxfp4", "mxfp8", "nvfp4", "nvfp4_global", "fp8",
                                         "hqq", "hqq:1:g8", "mlx", "tq1_0", "tq2_0", "int8_row", "iq1_m", "iq1_s",
                                         "iq2_s", "iq2_xs", "iq2_xxs", "iq3_s", "iq3_xxs", "q1_0", "q2_0", "n3_k"),
                         [](const auto &info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), ':', '_');
                           return name;
                         });

class GPUEpilogueTest : public GPULinearTest {};

// The kernel is that of warp groups where the target has them and rows allow it, and can be switched off.
TEST_F(GPUEpilogueTest, WhereWarpGroupsAre) {
  auto usesGroups = [](const GPULinearCase &linear) {
    Result<GPULinear> kernel = GPULinear::create(context(), linear);
    EXPECT_TRUE(kernel) << kernel.error().message;
    return kernel && kernel->kernel().warpGroups;
  };
  const GPULinearCase linear{.spec = "int:4:g128", .N = 128, .K = 512, .target = "sm_90a"};
  EXPECT_TRUE(usesGroups(linear));
  for (auto change : std::initializer_list<void (*)(GPULinearCase &)>{
           [](GPULinearCase &c) { c.target = "sm_100a"; }, [](GPULinearCase &c) { c.N = 96; },
           [](GPULinearCase &c) { c.tokens = 8; }, [](GPULinearCase &c) { c.spec = "q4_k"; },
           [](GPULinearCase &c) { c.warpGroups = false; }}) {
    GPULinearCase other = linear;
    change(other);
    EXPECT_FALSE(usesGroups(other));
  }
}

// Results, bias and residual of the activations' type: what is left is their rounding.
TEST_F(GPUEpilogueTest, Halves) {
  for (const char *type : {"f16", "bf16"})
    for (std::optional<int64_t> tokens : {std::optional<int64_t>(4), std::optional<int64_t>()})
      check({.spec = "int:4:g128:asym",
             .N = 48,
             .K = 512,
             .tokens = tokens,
             .activations = type,
             .result = type,
             .epilogue = true},
            {4}, std::string(type) == "f16" ? 5e-4 : 4e-3);
}

// Every residue of the rows; what lies behind them in a matrix belongs to the next token.
TEST_F(GPUEpilogueTest, EveryResidueOfRows) {
  for (int64_t N = 1; N <= 34; N++)
    for (std::optional<int64_t> tokens : {std::optional<int64_t>(3), std::optional<int64_t>()})
      check({.spec = "int:4:g64", .N = N, .K = 128, .tokens = tokens, .epilogue = true}, {3}, 1e-6);
  for (int64_t N : {50, 113, 127, 129, 255})
    check({.spec = "int:4:g64", .N = N, .K = 128, .result = "f16", .epilogue = true}, {3, 70}, 5e-4);
}

// Residues of the columns: rows of x that are aligned to 16 bytes, to 8, 4 and 2; fewer columns than a group, and one.
TEST_F(GPUEpilogueTest, ResiduesOfColumns) {
  for (int64_t K : {1, 2, 12, 63, 65, 136, 188, 190, 191, 193})
    for (std::optional<int64_t> tokens : {std::optional<int64_t>(3), std::optional<int64_t>()})
      for (const char *spec : {"int:4:g64:asym", "f16"})
        check({.spec = spec, .N = 16, .K = K, .tokens = tokens, .epilogue = true}, {3}, spec[0] == 'i' ? 1e-6 : 5e-4);
  // Many tokens, more stages than one; a group that begins within a tile; 9 tokens that have no tile of columns more.
  for (int64_t K : {450, 451, 456})
    check({.spec = "int:4:g96", .N = 80, .K = K, .activations = "bf16"}, {1, 64, 67});
  check({.spec = "int:4:g64", .N = 16, .K = 60, .tokens = 9}, {9});
}

// More columns than shared memory holds of 8 tokens: by tiles, whatever their number.
TEST_F(GPUEpilogueTest, ManyColumns) {
  check({.spec = "int:4:g128", .N = 16, .K = 8192, .tokens = 8, .target = "sm_86"}, {8});
}

} // namespace
