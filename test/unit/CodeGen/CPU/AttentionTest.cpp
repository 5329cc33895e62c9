//===- AttentionTest.cpp - nn.attention, compiled, against an evaluation in f64 --------------------------------===//

#include "AttentionCase.h"
#include <fmt/format.h>
#include <gtest/gtest.h>

using namespace quantc;
using namespace quantc::test;

namespace {

class Attention : public testing::TestWithParam<Shape> {};

TEST_P(Attention, MatchesF64) {
  auto context = createContext();
  std::vector<Target> targets = runnableTargets();
  CompiledKernels slow = compileLayer(*context, kernelText(GetParam()), targets.front());
  CompiledKernels fast = compileLayer(*context, kernelText(GetParam()), targets.back());
  std::vector<CompiledKernels> emulated;
  for (const Target &target : emulatedTargets())
    emulated.push_back(compileLayer(*context, kernelText(GetParam()), target));
  ASSERT_FALSE(HasFailure());
  for (int past : {0, 1, 15, 16, 17, 63, 100, 127, 130})
    for (int tokens = 1; tokens <= 17; tokens += past ? 5 : 1) {
      SCOPED_TRACE(fmt::format("{} tokens after {}", tokens, past));
      Call call(GetParam(), tokens, past);
      Buffer<float> y = call.makeResult(), again = call.makeResult();
      fast.runAll("kernel", call.args(y));
      EXPECT_LT(normalizedError(y, call.expected()), 1e-11);
      EXPECT_TRUE(y.guardIntact());
      // Neither the partition of the tasks nor the level of the processor changes a bit.
      runBackwards(fast, call.args(again));
      EXPECT_TRUE(y == again);
      slow.runAll("kernel", call.args(again));
      EXPECT_TRUE(y == again);
      for (const CompiledKernels &other : emulated)
        if (past % 16 == 1) {
          other.runAll("kernel", call.args(again));
          EXPECT_TRUE(y == again);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Heads, Attention,
                         testing::Values(Shape{1, 1, 8, 8}, Shape{4, 4, 16, 16}, Shape{4, 2, 32, 32},
                                         Shape{8, 2, 64, 64}, Shape{8, 1, 80, 80}, Shape{6, 2, 128, 128},
                                         Shape{14, 2, 64, 64}, Shape{16, 1, 16, 16}, Shape{5, 1, 24, 40},
                                         Shape{2, 2, 100, 12}));
INSTANTIATE_TEST_SUITE_P(Window, Attention,
                         testing::Values(Shape{4, 2, 16, 16, 1}, Shape{4, 2, 16, 16, 5}, Shape{4, 4, 16, 16, 16},
                                         Shape{8, 1, 16, 16, 100}, Shape{2, 1, 16, 16, 1000000}));
INSTANTIATE_TEST_SUITE_P(Softcap, Attention,
                         testing::Values(Shape{4, 2, 16, 16, 0, 2.0f}, Shape{4, 4, 32, 32, 7, 30.0f}));

/// A token's result does not depend on the tokens computed with it: a prompt in one step, in two, and token by token.
TEST(AttentionSteps, DoNotChangeBits) {
  auto context = createContext();
  const Shape shape{4, 2, 32, 32};
  CompiledKernels kernels = compileLayer(*context, kernelText(shape), runnableTargets().back());
  ASSERT_FALSE(testing::Test::HasFailure());
  const int total = 150, features = shape.heads * shape.headDim;
  Call all(shape, total, 0);
  Buffer<float> y = all.makeResult();
  kernels.runAll("kernel", all.args(y));
  for (int step : {1, 75}) {
    Buffer<float> pieces = all.makeResult();
    for (int past = 0; past < total; past += step)
      kernels.runAll("kernel", std::vector<int64_t>{all.q.address() + 4 * past * features, step, all.keys.address(),
                                                    all.capacity, all.values.address(), all.capacity, past,
                                                    pieces.address() + 4 * past * features, step});
    EXPECT_TRUE(y == pieces) << "in steps of " << step;
  }
}

/// Queries that are normalized and rotated in the kernel are those that a kernel of their own makes.
TEST(AttentionQueries, AreRotatedInPlace) {
  auto context = createContext();
  for (auto [heads, keyHeads, headDim] : {std::tuple{4, 2, 32}, {3, 3, 16}, {8, 1, 64}}) {
    const Shape shape{heads, keyHeads, headDim, headDim};
    const int tokens = 11, past = 21, pairs = headDim / 2;
    std::string q = fmt::format("tensor<?x{}xf32>", heads * headDim),
                cache = fmt::format("tensor<{}x?x{}xf16>", keyHeads, headDim);
    std::string parameters =
        fmt::format("%q: {0}, %w: tensor<{1}xf32>, %low: tensor<16x2x{2}xf32>, %high: tensor<4x2x{2}xf32>, "
                    "%past: index, %out: {0} {{bufferization.writable = true}}",
                    q, headDim, pairs);
    std::string rotate = fmt::format("%n = nn.rms_norm %q, %w eps 1.0e-6 : {0}, tensor<{1}xf32>\n"
                                     "%y = nn.rope %n at %past angles(%low, %high) head_dim {1} style half : {0}, "
                                     "tensor<16x2x{2}xf32>, tensor<4x2x{2}xf32>\n",
                                     q, headDim, pairs);
    std::string attend =
        fmt::format("%a = nn.attention %y, %keys, %values at %past scale 0.3 : {0}, {1}, {1} -> {0}\n", q, cache);
    auto text = [&](std::string more, const std::string &body, const char *result) {
      return fmt::format(
          "func.func @kernel({1}{2}) -> {0} {{ {3} %r = bufferization.materialize_in_destination {4} in %out : "
          "({0}, {0}) -> {0}\n return %r : {0} }}",
          q, parameters, more, body, result);
    };
    std::string caches = fmt::format(", %keys: {0}, %values: {0}", cache);
    Target target = runnableTargets().back();
    CompiledKernels rope = compileLayer(*context, text("", rotate, "%y"), target);
    CompiledKernels fused = compileLayer(*context, text(caches, rotate + attend, "%a"), target);
    CompiledKernels attention = compileLayer(*context, kernelText(shape), target);
    ASSERT_FALSE(testing::Test::HasFailure());

    Call call(shape, tokens, past);
    Buffer<float> weight(headDim), low(16 * 2 * pairs), high(4 * 2 * pairs);
    for (Buffer<float> *buffer : {&weight, &low, &high})
      fillRandom(*buffer, 4);
    Buffer<float> y = call.makeResult(), rotated = call.makeResult(), expected = call.makeResult();
    std::vector<int64_t> args{call.q.address(), tokens, weight.address(), low.address(), high.address(), past};
    std::vector<int64_t> ropeArgs = args, fusedArgs = args;
    ropeArgs.insert(ropeArgs.end(), {rotated.address(), tokens});
    fusedArgs.insert(fusedArgs.end(),
                     {y.address(), tokens, call.keys.address(), call.capacity, call.values.address(), call.capacity});
    rope.runAll("kernel", ropeArgs);
    fused.runAll("kernel", fusedArgs);
    call.q = rotated;
    attention.runAll("kernel", call.args(expected));
    EXPECT_TRUE(y == expected) << heads << " heads of " << headDim;
  }
}

/// What stands in the cache behind the last position is not read: it may be left over from another prompt.
TEST(AttentionCache, IgnoresLaterPositions) {
  auto context = createContext();
  const Shape shape{2, 1, 16, 16};
  CompiledKernels kernels = compileLayer(*context, kernelText(shape), runnableTargets().back());
  ASSERT_FALSE(testing::Test::HasFailure());
  Call call(shape, 3, 2);
  const _Float16 nan = std::numeric_limits<float>::quiet_NaN();
  for (int position = 5; position < call.capacity; ++position)
    for (int d = 0; d < 16; ++d)
      call.keys[d * 16 + position] = call.values[position * 16 + d] = nan;
  Buffer<float> y = call.makeResult();
  kernels.runAll("kernel", call.args(y));
  EXPECT_LT(normalizedError(y, call.expected()), 1e-11);
}

} // namespace
