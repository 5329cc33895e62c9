//===- AttentionTest.cpp - attention and KV caches on a GPU, against evaluations in f64 ---------------------------===//

#include "CodedCacheCase.h"
#include "HeadCase.h"
#include "LayerCase.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Format/Repack.h"

using namespace quantc;
using namespace quantc::test;

namespace {

class GPUAttention : public testing::TestWithParam<Shape> {};

TEST_P(GPUAttention, MatchesF64) {
  const GPULayer layer = compiled(kernelText(GetParam()));
  // Up to 8 tokens have parts of the positions: one, two of 128, and more; others have all in one block.
  for (auto [tokens, past] : {std::pair{1, 0}, {3, 62}, {1, 127}, {1, 128}, {8, 250}, {1, 700}, {9, 125}}) {
    SCOPED_TRACE(fmt::format("{} tokens after {}", tokens, past));
    Call call(GetParam(), tokens, past);
    Buffer<float> y = call.makeResult();
    const emulator::Buffer memory[] = {readable(call.q), readable(call.keys), readable(call.values), writable(y)};
    const Status status = layer.run(call.args(y), memory, static_cast<uint64_t>(past + tokens));
    ASSERT_TRUE(status) << status.error().message;
    EXPECT_LT(normalizedError(y, call.expected()), 1e-10); // exp(x) is 2^y, and y is rounded
    EXPECT_TRUE(y.guardIntact());
  }
}

INSTANTIATE_TEST_SUITE_P(Heads, GPUAttention,
                         testing::Values(Shape{1, 1, 8, 8}, Shape{4, 2, 32, 32}, Shape{8, 1, 80, 80},
                                         Shape{6, 2, 128, 128}, Shape{14, 2, 64, 64}, Shape{16, 1, 16, 16},
                                         Shape{5, 1, 24, 40}, Shape{2, 2, 100, 12}, Shape{2, 1, 300, 300}));
INSTANTIATE_TEST_SUITE_P(Window, GPUAttention,
                         testing::Values(Shape{4, 2, 16, 16, 1}, Shape{4, 2, 16, 16, 5}, Shape{8, 1, 16, 16, 100},
                                         Shape{2, 1, 16, 16, 1000000}));
INSTANTIATE_TEST_SUITE_P(Softcap, GPUAttention, testing::Values(Shape{4, 2, 16, 16, 0, 2.0f}));

/// So many positions that parts have several runs of 128.
TEST(GPUAttentionParts, LongContext) {
  for (const Shape &shape : {Shape{2, 2, 8, 8}, Shape{4, 1, 16, 8}, Shape{2, 2, 8, 8, 8300}}) {
    const GPULayer layer = compiled(kernelText(shape));
    for (auto [tokens, past] : {std::pair{1, 8191}, {1, 8192}, {2, 9000}}) {
      SCOPED_TRACE(fmt::format("{} heads, window {}, {} tokens after {}", shape.heads, shape.window, tokens, past));
      Call call(shape, tokens, past);
      Buffer<float> y = call.makeResult();
      const emulator::Buffer memory[] = {readable(call.q), readable(call.keys), readable(call.values), writable(y)};
      const Status status = layer.run(call.args(y), memory);
      ASSERT_TRUE(status) << status.error().message;
      EXPECT_LT(normalizedError(y, call.expected()), 1e-10);
    }
  }
}

/// Queries that are normalized, rotated and rounded in the kernels.
TEST(GPUAttentionParts, QueriesAreRotated) {
  const RopeCase c{4, 32, 16, false, true};
  const GPULayer layer = compiled(fmt::format(
      "func.func @kernel({0}, %keys: tensor<2x?x32xf16>, %values: tensor<2x?x32xf16>, %out: "
      "tensor<?x128x!qf.elem<f16>> "
      "{{bufferization.writable = true}}) -> tensor<?x128x!qf.elem<f16>> {{\n{1}"
      "  %a = nn.attention %y, %keys, %values at %past scale 0.3 : tensor<?x128xf32>, tensor<2x?x32xf16>, "
      "tensor<2x?x32xf16> -> tensor<?x128xf32>\n"
      "  %e = qf.encode %a into %out : tensor<?x128xf32>, tensor<?x128x!qf.elem<f16>> -> tensor<?x128x!qf.elem<f16>>\n"
      "  return %e : tensor<?x128x!qf.elem<f16>>\n}}",
      ropeParameters(c), ropeText(c)));
  Buffer<float> low = angleTable(16, 1, c.pairs), high = angleTable(20, 16, c.pairs), weight(c.headDim);
  fillRandom(weight, 2);
  for (auto [tokens, past] : {std::pair{1, 200}, {2, 300}, {10, 150}}) {
    SCOPED_TRACE(fmt::format("{} tokens after {}", tokens, past));
    Call call({4, 2, 32, 32}, tokens, past);
    Buffer<_Float16> y(tokens * 128);
    const int64_t args[] = {call.q.address(),      tokens,         weight.address(),    past,
                            low.address(),         high.address(), call.keys.address(), call.capacity,
                            call.values.address(), call.capacity,  y.address(),         tokens};
    const emulator::Buffer memory[] = {readable(call.q),    readable(weight),      readable(low), readable(high),
                                       readable(call.keys), readable(call.values), writable(y)};
    const Status status = layer.run(args, memory);
    ASSERT_TRUE(status) << status.error().message;
    const std::vector<double> queries = rotated(call.q, weight, c, tokens, past);
    std::copy(queries.begin(), queries.end(), call.q.begin());
    EXPECT_LT(normalizedError(y, call.expected()), 1e-6); // f16 has 11 bits
  }
}

/// A cache in a format.
class GPUCodedCache : public testing::TestWithParam<const char *> {
protected:
  void SetUp() override {
    catalog = Catalog::open(QUANTC_SOURCE_DIR).value();
    auto format = catalog->format(GetParam());
    ASSERT_TRUE(format) << format.error().message;
    storage = std::make_shared<const KernelStorage>(KernelStorage::derive(*format).value());
    llvm::raw_string_ostream(element) << qf::ElemType::of(&context(), GetParam()).value();
  }
  std::shared_ptr<Catalog> catalog;
  std::shared_ptr<const KernelStorage> storage;
  std::string element;
};

/// The bytes are those that a processor's kernel writes.
TEST_P(GPUCodedCache, HoldsTheBytesOfProcessors) {
  const int heads = 2, capacity = 48;
  for (int headDim : {32, 64, 100}) {
    const std::string text = appendText(heads, headDim, element);
    const GPULayer layer = compiled(text);
    const CompiledKernels processor = compileLayer(context(), text, runnableTargets().front());
    ASSERT_FALSE(HasFailure());
    for (auto [tokens, past] : {std::pair{1, 0}, {17, 0}, {1, 15}, {5, 14}, {2, 31}, {33, 7}, {1, 47}}) {
      SCOPED_TRACE(fmt::format("{} features, {} tokens after {}", headDim, tokens, past));
      Buffer<float> k(static_cast<size_t>(tokens) * heads * headDim), v(k.size());
      fillRandom(k, 1);
      fillRandom(v, 2);
      std::fill_n(v.begin(), headDim, 0.0f);
      Buffer<std::byte> keys(static_cast<size_t>(heads * storage->bytes(capacity, headDim))), values(keys.size());
      std::mt19937 generator(7);
      for (Buffer<std::byte> *cache : {&keys, &values})
        for (std::byte &b : *cache)
          b = std::byte(generator());
      Buffer<std::byte> expectedKeys = keys, expectedValues = values;
      auto args = [&](Buffer<std::byte> &keyCache, Buffer<std::byte> &valueCache) -> std::vector<int64_t> {
        return {k.address(),        tokens,   v.address(),          tokens,  past,
                keyCache.address(), capacity, valueCache.address(), capacity};
      };
      processor.runAll("kernel", args(expectedKeys, expectedValues));
      const emulator::Buffer memory[] = {readable(k), readable(v), writable(keys), writable(values)};
      const Status status = layer.run(args(keys, values), memory, static_cast<uint64_t>(past + 1));
      ASSERT_TRUE(status) << status.error().message;
      EXPECT_TRUE(keys == expectedKeys);
      EXPECT_TRUE(values == expectedValues);
    }
  }
}

/// Attention in f64 over the numbers that the cache holds.
TEST_P(GPUCodedCache, IsReadByAttention) {
  const Repacker repacker = Repacker::create(storage).value();
  for (const Shape &shape : {Shape{4, 2, 32, 32}, Shape{3, 3, 80, 80}, Shape{6, 2, 128, 96}, Shape{4, 2, 32, 32, 20},
                             Shape{16, 1, 64, 64, 0, 2.0f}}) {
    const GPULayer layer = compiled(kernelText(shape, element));
    for (auto [tokens, past] : {std::pair{1, 0}, {2, 63}, {1, 300}, {9, 130}}) {
      SCOPED_TRACE(fmt::format("{} heads of {}, {} tokens after {}", shape.heads, shape.headDim, tokens, past));
      Call call(shape, tokens, past);
      auto makeCache = [&](int features, unsigned seed) {
        const std::vector<Head> heads = randomHeads(*storage, shape.keyHeads, call.capacity, features, seed);
        const auto bytes = static_cast<size_t>(storage->bytes(call.capacity, features));
        Buffer<std::byte> cache(shape.keyHeads * bytes);
        std::vector<std::vector<float>> numbers;
        for (int h = 0; h < shape.keyHeads; ++h) {
          EXPECT_TRUE(repacker.fromFields(heads[h].fields(), call.capacity, heads[h].padded,
                                          std::span(cache.begin(), cache.end()).subspan(h * bytes, bytes)));
          numbers.push_back(heads[h].decoded());
        }
        return std::tuple(cache, numbers, heads.front().padded);
      };
      auto [keys, k, keyPitch] = makeCache(shape.headDim, 3);
      auto [values, v, valuePitch] = makeCache(shape.valueDim, 4);
      const std::vector<double> expected = call.attention(
          [&, &k = k, keyPitch = keyPitch](int h, int p, int d) { return k[h][p * keyPitch + d]; },
          [&, &v = v, valuePitch = valuePitch](int h, int p, int d) { return v[h][p * valuePitch + d]; });
      Buffer<float> y = call.makeResult();
      const int64_t args[] = {call.q.address(), tokens, keys.address(), call.capacity, values.address(),
                              call.capacity,    past,   y.address(),    tokens};
      const emulator::Buffer memory[] = {readable(call.q), readable(keys), readable(values), writable(y)};
      const Status status = layer.run(args, memory, static_cast<uint64_t>(past + tokens));
      ASSERT_TRUE(status) << status.error().message;
      EXPECT_LT(normalizedError(y, expected), 1e-10);
      EXPECT_TRUE(y.guardIntact());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, GPUCodedCache, testing::Values("q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "bf16", "f32"),
                         [](const auto &info) { return std::string(info.param); });

} // namespace
