//===- LayersTest.cpp - norms, rope, the KV cache and row copies, compiled, against evaluations in f64 ---------===//

#include "HeadCase.h"
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <numeric>

using namespace quantc;
using namespace quantc::test;

namespace {

class Layers : public testing::Test {
protected:
  /// Runs `text`'s @kernel on contrasting targets, and backwards, into `y`; all must agree.
  template <typename T>
  void run(const std::string &text, Buffer<T> &y, const std::function<std::vector<int64_t>(Buffer<T> &)> &args) {
    Buffer<T> start = y;
    for (const Target &target : targets) {
      const CompiledKernels &kernels = compiled(text, target);
      ASSERT_FALSE(HasFailure());
      Buffer<T> again = start;
      kernels.runAll("kernel", args(y));
      runBackwards(kernels, args(again));
      EXPECT_TRUE(y == again);
      EXPECT_TRUE(y.guardIntact());
    }
  }
  const CompiledKernels &compiled(const std::string &text, const Target &target) {
    auto &kernels = cache[text + target.name];
    if (!kernels)
      kernels = std::make_unique<CompiledKernels>(compileLayer(*context, text, target));
    return *kernels;
  }

  std::unique_ptr<mlir::MLIRContext> context = createContext();
  std::vector<Target> targets = contrastingTargets();
  std::map<std::string, std::unique_ptr<CompiledKernels>> cache;
};

TEST_F(Layers, NormMatchesF64) {
  for (auto [features, run] :
       {std::pair{8, 8}, {64, 64}, {100, 100}, {2048, 2048}, {2050, 2050}, {300, 20}, {256, 64}}) {
    std::string x = fmt::format("tensor<?x{}xf32>", features);
    std::string text = fmt::format(R"(
      func.func @kernel(%x: {0}, %w: tensor<{1}xf32>, %out: {0} {{bufferization.writable = true}}) -> {0} {{
        %y = nn.rms_norm %x, %w eps 1.0e-5 : {0}, tensor<{1}xf32>
        %r = bufferization.materialize_in_destination %y in %out : ({0}, {0}) -> {0}
        return %r : {0}
      }})",
                                   x, run);
    for (int tokens : {1, 2, 17}) {
      SCOPED_TRACE(fmt::format("{} tokens, {} features in runs of {}", tokens, features, run));
      Buffer<float> in(tokens * features), weight(run), y(tokens * features);
      fillRandom(in, 1);
      fillRandom(weight, 2);
      this->run<float>(text, y, [&](Buffer<float> &out) -> std::vector<int64_t> {
        return {in.address(), tokens, weight.address(), out.address(), tokens};
      });
      std::vector<double> expected;
      for (int at = 0; at < tokens * features; at += run)
        for (double v : normalize({in.begin() + at, in.begin() + at + run}, weight, 1e-5))
          expected.push_back(v);
      EXPECT_LT(normalizedError(y, expected), 1e-13);
    }
  }
}

/// A norm that is quantized in its loop has the codes of a norm that is quantized afterwards.
TEST_F(Layers, EncodedNormHasTheSameCodes) {
  for (auto [features, group] : {std::pair{256, 256}, {1024, 128}, {96, 32}, {300, 128}}) {
    SCOPED_TRACE(fmt::format("{} features in groups of {}", features, group));
    std::string x = fmt::format("tensor<?x{}xf32>", features), w = fmt::format("tensor<{}xf32>", features);
    std::string codes = fmt::format("tensor<?x{}x!qf.elem<a8<group = {}, sum = 32>>>", features, group);
    std::string norm = fmt::format("%y = nn.rms_norm %x, %w eps 1.0e-5 : {}, {}\n", x, w);
    std::string encode = fmt::format("%e = qf.encode %y into %out : {0}, {1} -> {1}\n return %e : {1}", x, codes);
    std::string out = fmt::format("%out: {0} {{bufferization.writable = true}}) -> {0}", codes);
    std::string fused = fmt::format("func.func @kernel(%x: {}, %w: {}, {} {{ {} {} }}", x, w, out, norm, encode);
    std::string encodeOnly = fmt::format("func.func @kernel(%y: {}, {} {{ {} }}", x, out, encode);
    std::string normOnly =
        fmt::format("func.func @kernel(%x: {0}, %w: {1}, %out: {0} {{bufferization.writable = true}}) -> {0} {{ {2} "
                    "%r = bufferization.materialize_in_destination %y in %out : ({0}, {0}) -> {0}\n return %r : {0} }}",
                    x, w, norm);
    const int tokens = 19;
    const size_t groups = (features + group - 1) / group;
    Buffer<float> in(tokens * features), weight(features), normed(tokens * features);
    fillRandom(in, 1);
    fillRandom(weight, 2);
    for (const Target &target : contrastingTargets()) {
      SCOPED_TRACE(target.name);
      const size_t bytes = tokens * groups * activationStride(target, group + 4 + 4 * group / 32);
      Buffer<char> expected(bytes), actual(bytes);
      compiled(normOnly, target)
          .runAll("kernel", std::vector<int64_t>{in.address(), tokens, weight.address(), normed.address(), tokens});
      compiled(encodeOnly, target)
          .runAll("kernel", std::vector<int64_t>{normed.address(), tokens, expected.address(), tokens});
      targets = {target};
      run<char>(fused, actual, [&](Buffer<char> &out) -> std::vector<int64_t> {
        return {in.address(), tokens, weight.address(), out.address(), tokens};
      });
      EXPECT_TRUE(actual == expected);
    }
  }
}

TEST_F(Layers, RopeMatchesF64) {
  for (const RopeCase &c : ropeCases) {
    std::string x = fmt::format("tensor<?x{}xf32>", c.heads * c.headDim);
    std::string text =
        fmt::format("func.func @kernel({0}, %out: {1} {{bufferization.writable = true}}) -> {1} {{ {2} "
                    "%r = bufferization.materialize_in_destination %y in %out : ({1}, {1}) -> {1}\n return %r : {1} }}",
                    ropeParameters(c), x, ropeText(c));
    Buffer<float> low = angleTable(16, 1, c.pairs), high = angleTable(20, 16, c.pairs), weight(c.headDim);
    fillRandom(weight, 2);
    for (auto [tokens, past] : {std::pair{1, 0}, {17, 0}, {1, 15}, {5, 16}, {2, 63}, {3, 100}}) {
      SCOPED_TRACE(
          fmt::format("{} heads of {}, {} pairs, {} tokens after {}", c.heads, c.headDim, c.pairs, tokens, past));
      Buffer<float> in(tokens * c.heads * c.headDim), y(in.size());
      fillRandom(in, 1);
      run<float>(text, y, [&](Buffer<float> &out) -> std::vector<int64_t> {
        return {in.address(), tokens, weight.address(), past, low.address(), high.address(), out.address(), tokens};
      });
      EXPECT_LT(normalizedError(y, rotated(in, weight, c, tokens, past)), 1e-12);
    }
  }
}

/// Of both caches, rotated keys and values as they are: f16 at the right place, everything else untouched.
TEST_F(Layers, AppendStoresRotatedKeys) {
  const int capacity = 128;
  for (const RopeCase &c : ropeCases) {
    std::string x = fmt::format("tensor<?x{}xf32>", c.heads * c.headDim),
                cache = fmt::format("tensor<{}x?x{}xf16>", c.heads, c.headDim);
    std::string text = fmt::format("func.func @kernel({0}, %v: {1}, %keys: {2} {{bufferization.writable = true}}, "
                                   "%values: {2} {{bufferization.writable = "
                                   "true}}) -> ({2}, {2}) {{ {3} %k, %u = nn.kv_append %y, %v at %past into %keys, "
                                   "%values : {1}, {1} into {2}, {2}\n"
                                   "return %k, %u : {2}, {2} }}",
                                   ropeParameters(c), x, cache, ropeText(c));
    Buffer<float> low = angleTable(16, 1, c.pairs), high = angleTable(20, 16, c.pairs), weight(c.headDim);
    fillRandom(weight, 2);
    for (auto [tokens, past] : {std::pair{1, 0}, {17, 0}, {1, 15}, {5, 16}, {2, 63}, {28, 100}}) {
      SCOPED_TRACE(fmt::format("{} heads of {}, {} tokens after {}", c.heads, c.headDim, tokens, past));
      Buffer<float> k(tokens * c.heads * c.headDim), v(k.size());
      fillRandom(k, 1);
      fillRandom(v, 3);
      Buffer<_Float16> caches(2 * c.heads * capacity * c.headDim);
      for (_Float16 &element : caches)
        element = 7;
      const size_t values = caches.size() / 2;
      run<_Float16>(text, caches, [&](Buffer<_Float16> &out) -> std::vector<int64_t> {
        return {k.address(),
                tokens,
                weight.address(),
                past,
                low.address(),
                high.address(),
                v.address(),
                tokens,
                out.address(),
                capacity,
                out.address() + int64_t(2 * values),
                capacity};
      });
      std::vector<double> expected = rotated(k, weight, c, tokens, past);
      double worst = 0;
      size_t wrong = 0;
      for (int h = 0; h < c.heads; ++h)
        for (int p = 0; p < capacity; ++p)
          for (int d = 0; d < c.headDim; ++d) {
            const float key = caches[((h * capacity / 16 + p / 16) * c.headDim + d) * 16 + p % 16];
            const float value = caches[values + (h * capacity + p) * c.headDim + d];
            if (p < past || p >= past + tokens) {
              wrong += key != 7 || value != 7;
              continue;
            }
            const size_t i = ((p - past) * c.heads + h) * c.headDim + d;
            worst = std::max(worst, std::abs(key - expected[i]) / (1 + std::abs(expected[i])));
            wrong += value != float(_Float16(v[i]));
          }
      EXPECT_EQ(wrong, 0u);
      EXPECT_LT(worst, 6e-4); // half a unit in the last place of f16
    }
  }
}

TEST_F(Layers, EmbeddingCopiesRows) {
  for (int features : {8, 100, 2048}) {
    std::string text = fmt::format(R"(
      func.func @kernel(%t: tensor<?xi32>, %w: tensor<50x{0}xf16>, %out: tensor<?x{0}xf32> {{bufferization.writable = true}}) -> tensor<?x{0}xf32> {{
        %y = nn.embedding %t, %w : (tensor<?xi32>, tensor<50x{0}xf16>) -> tensor<?x{0}xf32>
        %r = bufferization.materialize_in_destination %y in %out : (tensor<?x{0}xf32>, tensor<?x{0}xf32>) -> tensor<?x{0}xf32>
        return %r : tensor<?x{0}xf32>
      }})",
                                   features);
    Buffer<_Float16> table(50 * features);
    fillRandom(table, 1);
    Buffer<int32_t> tokens(3);
    std::copy_n(std::array{49, 0, 7}.begin(), 3, tokens.begin());
    Buffer<float> y(3 * features);
    run<float>(text, y, [&](Buffer<float> &out) -> std::vector<int64_t> {
      return {tokens.address(), 3, table.address(), out.address(), 3};
    });
    for (int t = 0; t < 3; ++t)
      for (int d = 0; d < features; ++d)
        EXPECT_EQ(y[t * features + d], float(table[tokens[t] * features + d]));
  }
}

TEST_F(Layers, GatherChoosesFeatures) {
  for (auto [features, chosen] : {std::pair(8, 8), {100, 100}, {2048, 2048}, {2048, 1}, {100, 37}}) {
    std::string text = fmt::format(R"(
      func.func @kernel(%x: tensor<?x{0}xf32>, %c: tensor<{1}xi32>, %out: tensor<?x{1}xf32> {{bufferization.writable = true}}) -> tensor<?x{1}xf32> {{
        %y = nn.gather %x by %c : tensor<?x{0}xf32>, tensor<{1}xi32> -> tensor<?x{1}xf32>
        %r = bufferization.materialize_in_destination %y in %out : (tensor<?x{1}xf32>, tensor<?x{1}xf32>) -> tensor<?x{1}xf32>
        return %r : tensor<?x{1}xf32>
      }})",
                                   features, chosen);
    std::vector<int32_t> order(features);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), std::mt19937(5));
    Buffer<int32_t> columns(chosen);
    std::copy_n(order.begin(), chosen, columns.begin());
    for (int tokens : {1, 2, 17}) {
      Buffer<float> x(tokens * features), y(tokens * chosen);
      fillRandom(x, 1);
      run<float>(text, y, [&](Buffer<float> &out) -> std::vector<int64_t> {
        return {x.address(), tokens, columns.address(), out.address(), tokens};
      });
      for (int t = 0; t < tokens; ++t)
        for (int j = 0; j < chosen; ++j)
          ASSERT_EQ(y[t * chosen + j], x[t * features + columns[j]]) << t << " " << j;
    }
  }
}

TEST_F(Layers, LastCopiesTheLastRows) {
  const int features = 70, tokens = 9;
  std::string text = R"(
    func.func @kernel(%x: tensor<?x70xf32>, %rows: index, %out: tensor<?x70xf32> {bufferization.writable = true}) -> tensor<?x70xf32> {
      %y = nn.last %x, %rows : tensor<?x70xf32>
      %r = bufferization.materialize_in_destination %y in %out : (tensor<?x70xf32>, tensor<?x70xf32>) -> tensor<?x70xf32>
      return %r : tensor<?x70xf32>
    })";
  Buffer<float> x(tokens * features);
  fillRandom(x, 1);
  for (int rows : {1, 4, 9}) {
    Buffer<float> y(rows * features);
    run<float>(text, y, [&](Buffer<float> &out) -> std::vector<int64_t> {
      return {x.address(), tokens, rows, out.address(), rows};
    });
    EXPECT_TRUE(std::equal(y.begin(), y.end(), x.begin() + (tokens - rows) * features));
  }
}

} // namespace
