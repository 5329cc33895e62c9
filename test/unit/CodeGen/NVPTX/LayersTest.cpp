//===- LayersTest.cpp - layers that are no matrix products, on a GPU, against evaluations in f64 ------------------===//

#include "HeadCase.h"
#include "LayerCase.h"
#include "LinearKernel.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Encode/Encode.h"
#include "quantc/Format/FragmentStorage.h"
#include <gmock/gmock.h>
#include <numeric>

using namespace quantc;
using namespace quantc::test;

namespace {

/// @kernel of `ops`, which make %y of the type `y` from `parameters`.
std::string kernelOf(const std::string &parameters, const std::string &ops, const std::string &y) {
  return fmt::format("func.func @kernel({0}, %out: {1} {{bufferization.writable = true}}) -> {1} {{\n{2}\n"
                     "  %r = bufferization.materialize_in_destination %y in %out : ({1}, {1}) -> {1}\n"
                     "  return %r : {1}\n}}",
                     parameters, y, ops);
}

TEST(GPULayers, NormMatchesF64) {
  for (auto [features, run] : {std::pair{8, 8}, {100, 100}, {1100, 1100}, {300, 20}}) {
    const std::string x = fmt::format("tensor<?x{}xf32>", features);
    const GPULayer layer =
        compiled(kernelOf(fmt::format("%x: {}, %w: tensor<{}xf32>", x, run),
                          fmt::format("  %y = nn.rms_norm %x, %w eps 1.0e-5 : {}, tensor<{}xf32>", x, run), x));
    for (int tokens : {1, 3}) {
      SCOPED_TRACE(fmt::format("{} tokens, {} features in runs of {}", tokens, features, run));
      Buffer<float> in(tokens * features), weight(run), y(tokens * features);
      fillRandom(in, 1);
      fillRandom(weight, 2);
      const int64_t args[] = {in.address(), tokens, weight.address(), y.address(), tokens};
      const emulator::Buffer memory[] = {readable(in), readable(weight), writable(y)};
      const Status status = layer.run(args, memory);
      ASSERT_TRUE(status) << status.error().message;
      std::vector<double> expected;
      for (int at = 0; at < tokens * features; at += run)
        for (double v : normalize({in.begin() + at, in.begin() + at + run}, weight, 1e-5))
          expected.push_back(v);
      EXPECT_LT(normalizedError(y, expected), 1e-12);
    }
  }
}

// What a matrix product reads is rounded where it is made.
TEST(GPULayers, RoundedNorm) {
  const int features = 96, tokens = 2;
  const GPULayer layer = compiled(
      "func.func @kernel(%x: tensor<?x96xf32>, %w: tensor<96xf32>, %out: tensor<?x96x!qf.elem<f16>> "
      "{bufferization.writable = true}) -> tensor<?x96x!qf.elem<f16>> {\n"
      "  %y = nn.rms_norm %x, %w eps 1.0e-5 : tensor<?x96xf32>, tensor<96xf32>\n"
      "  %e = qf.encode %y into %out : tensor<?x96xf32>, tensor<?x96x!qf.elem<f16>> -> tensor<?x96x!qf.elem<f16>>\n"
      "  return %e : tensor<?x96x!qf.elem<f16>>\n}");
  Buffer<float> in(tokens * features), weight(features);
  Buffer<_Float16> y(tokens * features);
  fillRandom(in, 1);
  fillRandom(weight, 2);
  const int64_t args[] = {in.address(), tokens, weight.address(), y.address(), tokens};
  const emulator::Buffer memory[] = {readable(in), readable(weight), writable(y)};
  const Status status = layer.run(args, memory);
  ASSERT_TRUE(status) << status.error().message;
  for (int t = 0; t < tokens; ++t) {
    const auto expected = normalize({in.begin() + t * features, in.begin() + (t + 1) * features}, weight, 1e-5);
    for (int d = 0; d < features; ++d)
      EXPECT_NEAR(double(y[t * features + d]), expected[d], std::abs(expected[d]) * 5e-4 + 1e-7);
  }
}

TEST(GPULayers, RopeMatchesF64) {
  for (const RopeCase &c : ropeCases) {
    const std::string x = fmt::format("tensor<?x{}xf32>", c.heads * c.headDim);
    const GPULayer layer = compiled(kernelOf(ropeParameters(c), ropeText(c), x));
    Buffer<float> low = angleTable(16, 1, c.pairs), high = angleTable(20, 16, c.pairs), weight(c.headDim);
    fillRandom(weight, 2);
    for (auto [tokens, past] : {std::pair{1, 15}, {3, 100}}) {
      SCOPED_TRACE(fmt::format("{} heads of {}, {} pairs, {} after {}", c.heads, c.headDim, c.pairs, tokens, past));
      Buffer<float> in(tokens * c.heads * c.headDim), y(in.size());
      fillRandom(in, 1);
      const int64_t args[] = {in.address(),  tokens,         weight.address(), past,
                              low.address(), high.address(), y.address(),      tokens};
      const emulator::Buffer memory[] = {readable(in), readable(weight), readable(low), readable(high), writable(y)};
      const Status status = layer.run(args, memory);
      ASSERT_TRUE(status) << status.error().message;
      EXPECT_LT(normalizedError(y, rotated(in, weight, c, tokens, past)), 1e-12);
    }
  }
}

TEST(GPULayers, AppendStoresRotatedKeys) {
  const int capacity = 128, tokens = 5, past = 13;
  for (const RopeCase &c : ropeCases) {
    const std::string x = fmt::format("tensor<?x{}xf32>", c.heads * c.headDim);
    const std::string cache = fmt::format("tensor<{}x?x{}xf16>", c.heads, c.headDim);
    const GPULayer layer =
        compiled(fmt::format("func.func @kernel({0}, %v: {1}, %keys: {2} {{bufferization.writable = true}}, "
                             "%values: {2} {{bufferization.writable = true}}) -> ({2}, {2}) {{ {3}\n"
                             "%k, %u = nn.kv_append %y, %v at %past into %keys, %values : {1}, {1} into {2}, {2}\n"
                             "return %k, %u : {2}, {2} }}",
                             ropeParameters(c), x, cache, ropeText(c)));
    Buffer<float> low = angleTable(16, 1, c.pairs), high = angleTable(20, 16, c.pairs), weight(c.headDim);
    Buffer<float> k(tokens * c.heads * c.headDim), v(k.size());
    fillRandom(weight, 2);
    fillRandom(k, 1);
    fillRandom(v, 3);
    Buffer<_Float16> keys(c.heads * capacity * c.headDim), values(keys.size());
    std::fill(keys.begin(), keys.end(), 7);
    std::fill(values.begin(), values.end(), 7);
    const int64_t args[] = {k.address(), tokens, weight.address(), past,     low.address(),    high.address(),
                            v.address(), tokens, keys.address(),   capacity, values.address(), capacity};
    const emulator::Buffer memory[] = {readable(k),    readable(v),    readable(weight), readable(low),
                                       readable(high), writable(keys), writable(values)};
    const Status status = layer.run(args, memory);
    ASSERT_TRUE(status) << status.error().message;
    const std::vector<double> expected = rotated(k, weight, c, tokens, past);
    double worst = 0;
    size_t wrong = 0;
    for (int h = 0; h < c.heads; ++h)
      for (int p = 0; p < capacity; ++p)
        for (int d = 0; d < c.headDim; ++d) {
          const float key = keys[((h * capacity / 16 + p / 16) * c.headDim + d) * 16 + p % 16];
          const float value = values[(h * capacity + p) * c.headDim + d];
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

TEST(GPULayers, RowsAndElements) {
  const int features = 300, tokens = 3;
  Buffer<float> table(50 * features), x(tokens * features), y(tokens * features);
  Buffer<int32_t> ids(tokens), columns(features);
  fillRandom(table, 1);
  fillRandom(x, 2);
  std::copy_n(std::array{49, 0, 7}.begin(), tokens, ids.begin());
  std::iota(columns.begin(), columns.end(), 0);
  std::shuffle(columns.begin(), columns.end(), std::mt19937(5));
  const std::string f32s = "tensor<?x300xf32>";

  const GPULayer embedding =
      compiled(kernelOf("%t: tensor<?xi32>, %w: tensor<50x300xf32>",
                        "%y = nn.embedding %t, %w : (tensor<?xi32>, tensor<50x300xf32>) -> tensor<?x300xf32>", f32s));
  int64_t chosen[] = {ids.address(), tokens, table.address(), y.address(), tokens};
  const emulator::Buffer chosenMemory[] = {readable(ids), readable(table), writable(y)};
  Status status = embedding.run(chosen, chosenMemory);
  ASSERT_TRUE(status) << status.error().message;
  for (int t = 0; t < tokens; ++t)
    for (int d = 0; d < features; ++d)
      ASSERT_EQ(y[t * features + d], table[ids[t] * features + d]);

  const GPULayer gather =
      compiled(kernelOf("%x: tensor<?x300xf32>, %c: tensor<300xi32>",
                        "%y = nn.gather %x by %c : tensor<?x300xf32>, tensor<300xi32> -> tensor<?x300xf32>", f32s));
  int64_t moved[] = {x.address(), tokens, columns.address(), y.address(), tokens};
  const emulator::Buffer movedMemory[] = {readable(x), readable(columns), writable(y)};
  status = gather.run(moved, movedMemory);
  ASSERT_TRUE(status) << status.error().message;
  for (int t = 0; t < tokens; ++t)
    for (int d = 0; d < features; ++d)
      ASSERT_EQ(y[t * features + d], x[t * features + columns[d]]);

  const GPULayer gated = compiled(
      kernelOf("%a: tensor<?x300xf32>, %b: tensor<?x300xf32>", "%y = nn.gated silu %a, %b : tensor<?x300xf32>", f32s));
  int64_t both[] = {x.address(), tokens, table.address(), tokens, y.address(), tokens};
  const emulator::Buffer bothMemory[] = {readable(x), readable(table), writable(y)};
  status = gated.run(both, bothMemory);
  ASSERT_TRUE(status) << status.error().message;
  std::vector<double> expected;
  for (int i = 0; i < tokens * features; ++i)
    expected.push_back(double(x[i]) / (1 + std::exp(-double(x[i]))) * table[i]);
  EXPECT_LT(normalizedError(y, expected), 1e-12);

  const GPULayer last =
      compiled(kernelOf("%x: tensor<?x300xf32>, %rows: index", "%y = nn.last %x, %rows : tensor<?x300xf32>", f32s));
  for (int rows : {1, 2, 3}) {
    int64_t behind[] = {x.address(), tokens, rows, y.address(), rows};
    const emulator::Buffer behindMemory[] = {readable(x), writable(y)};
    status = last.run(behind, behindMemory);
    ASSERT_TRUE(status) << status.error().message;
    EXPECT_TRUE(std::equal(y.begin(), y.begin() + rows * features, x.begin() + (tokens - rows) * features));
  }
}

/// A weight in a format, as kernels of GPUs read it, and its values.
struct Weight {
  Weight(const std::string &spec, int64_t N, int64_t K, uint64_t seed)
      : elem(qf::ElemType::of(&context(), spec).value()), text(spelled(elem)),
        storage(FragmentStorage::derive(qf::BlockType::of(elem, 16)->getKernelStorage()).value()),
        packed(static_cast<size_t>(storage.bytes(N, K))), values(static_cast<size_t>(N * K)) {
    const Format &format = *elem.getFormat();
    const std::vector<float> numbers = randomNormal(N * K, seed, 0.05f);
    const FieldValues fields = encode(format, numbers, N, K).value();
    EXPECT_TRUE(decode(format, fields, N, K, values.data()));
    EXPECT_TRUE(storage.fromFields(fields, N, K, std::as_writable_bytes(std::span(packed.begin(), packed.size()))));
  }
  static std::string spelled(mlir::Type type) {
    std::string text;
    llvm::raw_string_ostream stream(text);
    type.print(stream);
    return text;
  }
  qf::ElemType elem;
  std::string text;
  FragmentStorage storage;
  Buffer<char> packed;
  std::vector<float> values;
};

// Bits are those of the reference decode.
TEST(GPULayers, EmbeddingsOfEveryKind) {
  const std::pair<const char *, int64_t> tables[] = {{"f16", 512},    {"bf16", 512},  {"q8_0", 512},
                                                     {"q4_k", 512},   {"q6_k", 512},  {"nf4", 512},
                                                     {"iq4_xs", 512}, {"mxfp4", 512}, {"int:4:g128:asym", 512},
                                                     {"q8_0", 544},   {"f16", 1},     {"int:4:g128:asym", 451}};
  for (const auto &[spec, K] : tables) {
    const int64_t N = 48, tokens = 17; // every row of a tile of 16, in three tiles
    Weight w(spec, N, K, 3);
    const GPULayer layer = compiled(kernelOf(
        fmt::format("%t: tensor<?xi32>, %w: tensor<48x{}x{}>", K, w.text),
        fmt::format("%y = nn.embedding %t, %w : (tensor<?xi32>, tensor<48x{0}x{1}>) -> tensor<?x{0}xf32>", K, w.text),
        fmt::format("tensor<?x{}xf32>", K)));
    Buffer<int32_t> ids(tokens);
    for (int64_t t = 0; t < tokens; ++t)
      ids[t] = static_cast<int32_t>((47 + 17 * t) % N);
    Buffer<float> y(tokens * K);
    const int64_t args[] = {ids.address(), tokens, w.packed.address(), y.address(), tokens};
    const emulator::Buffer memory[] = {readable(ids), readable(w.packed), writable(y)};
    const Status status = layer.run(args, memory);
    ASSERT_TRUE(status) << spec << ": " << status.error().message;
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t d = 0; d < K; ++d)
        ASSERT_EQ(y[t * K + d], w.values[ids[t] * K + d]) << spec << " token " << t << " feature " << d;
  }
}

/// y = gate(x W₀ᵀ) · (x W₁ᵀ), rounded, and y = x Wᵀ + bias + residual: one kernel for each number of tokens.
TEST(GPULinears, FusedForEveryNumberOfTokens) {
  const int64_t N = 48, K = 1152; // of few tokens one of 8 warps has two units of 128
  Weight gate("int:4:g128", N, K, 3), up("q8_0", N, K, 4);
  const GPULayer gated = compiled(fmt::format(
      "func.func @kernel(%x: tensor<?x1152x!qf.elem<f16>>, %g: tensor<48x1152x{0}>, %u: tensor<48x1152x{1}>, %out: "
      "tensor<?x48x!qf.elem<f16>> {{bufferization.writable = true}}) -> tensor<?x48x!qf.elem<f16>> {{\n"
      "  %y = nn.linear %x weights(%g, %u : tensor<48x1152x{0}>, tensor<48x1152x{1}>) gate(silu) : "
      "tensor<?x1152x!qf.elem<f16>> -> tensor<?x48xf32>\n"
      "  %e = qf.encode %y into %out : tensor<?x48xf32>, tensor<?x48x!qf.elem<f16>> -> tensor<?x48x!qf.elem<f16>>\n"
      "  return %e : tensor<?x48x!qf.elem<f16>>\n}}",
      gate.text, up.text));
  const GPULayer added = compiled(fmt::format(
      "func.func @kernel(%x: tensor<?x1152x!qf.elem<f16>>, %w: tensor<48x1152x{0}>, %b: tensor<48xf32>, %a: "
      "tensor<?x48xf32>, %out: tensor<?x48xf32> {{bufferization.writable = true}}) -> tensor<?x48xf32> {{\n"
      "  %y = nn.linear %x weights(%w : tensor<48x1152x{0}>) bias(%b : tensor<48xf32>) add(%a : tensor<?x48xf32>) : "
      "tensor<?x1152x!qf.elem<f16>> -> tensor<?x48xf32>\n"
      "  %r = bufferization.materialize_in_destination %y in %out : (tensor<?x48xf32>, tensor<?x48xf32>) -> "
      "tensor<?x48xf32>\n  return %r : tensor<?x48xf32>\n}}",
      gate.text));
  const GPULayer plain = compiled(kernelOf(
      fmt::format("%x: tensor<?x1152x!qf.elem<f16>>, %w: tensor<48x1152x{}>", gate.text),
      fmt::format(
          "  %y = nn.linear %x weights(%w : tensor<48x1152x{}>) : tensor<?x1152x!qf.elem<f16>> -> tensor<?x48xf32>",
          gate.text),
      "tensor<?x48xf32>"));
  EXPECT_EQ(gated.kernels().size(), 3u);
  for (int64_t M : {1, 2, 7, 8, 9, 65}) {
    SCOPED_TRACE(fmt::format("{} tokens", M));
    Buffer<_Float16> x(M * K), rounded(M * N);
    Buffer<float> bias(N), residual(M * N), y(M * N);
    fillRandom(x, 1);
    fillRandom(bias, 5);
    fillRandom(residual, 6);
    std::vector<double> expectedGate, expectedSum, expectedPlain;
    for (int64_t m = 0; m < M; m++)
      for (int64_t n = 0; n < N; n++) {
        double g = 0, u = 0;
        for (int64_t k = 0; k < K; k++) {
          g += double(x[m * K + k]) * gate.values[n * K + k];
          u += double(x[m * K + k]) * up.values[n * K + k];
        }
        expectedGate.push_back(g / (1 + std::exp(-g)) * u);
        expectedPlain.push_back(g);
        expectedSum.push_back(g + bias[n] + residual[m * N + n]);
      }
    const int64_t gateArgs[] = {x.address(), M, gate.packed.address(), up.packed.address(), rounded.address(), M};
    const emulator::Buffer gateMemory[] = {readable(x), readable(gate.packed), readable(up.packed), writable(rounded)};
    Status status = gated.run(gateArgs, gateMemory, static_cast<uint64_t>(M));
    ASSERT_TRUE(status) << status.error().message;
    EXPECT_LT(normalizedError(rounded, expectedGate), 1e-7); // f16 has 11 bits
    const int64_t sumArgs[] = {x.address(),        M, gate.packed.address(), bias.address(),
                               residual.address(), M, y.address(),           M};
    const emulator::Buffer sumMemory[] = {readable(x), readable(gate.packed), readable(bias), readable(residual),
                                          writable(y)};
    status = added.run(sumArgs, sumMemory, static_cast<uint64_t>(M));
    ASSERT_TRUE(status) << status.error().message;
    EXPECT_LT(normalizedError(y, expectedSum), 1e-12);
    const int64_t plainArgs[] = {x.address(), M, gate.packed.address(), y.address(), M};
    const emulator::Buffer plainMemory[] = {readable(x), readable(gate.packed), writable(y)};
    status = plain.run(plainArgs, plainMemory, static_cast<uint64_t>(M));
    ASSERT_TRUE(status) << status.error().message;
    EXPECT_LT(normalizedError(y, expectedPlain), 1e-12);
  }
}

} // namespace
