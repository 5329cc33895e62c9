//===- CodedCacheTest.cpp - a KV cache in a format, written and read by kernels ---------------------------------===//
//
// What is expected comes from Encode, Repack and the reference decode, none of which emit code.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "CodedCacheCase.h"
#include "quantc/Format/Repack.h"

using namespace quantc;
using namespace quantc::test;

namespace {

class CodedCache : public testing::TestWithParam<const char *> {
protected:
  void SetUp() override {
    catalog = Catalog::open(QUANTC_SOURCE_DIR).value();
    auto format = catalog->format(GetParam());
    ASSERT_TRUE(format) << format.error().message;
    storage = std::make_shared<const KernelStorage>(KernelStorage::derive(*format).value());
    element = fmt::format("!qf.elem<{}>", GetParam());
    context = createContext();
  }
  int64_t headBytes(int positions, int features) const { return storage->bytes(positions, features); }
  std::span<std::byte> bytesOf(Buffer<std::byte> &cache, int head, int positions, int features) {
    return std::span(cache.begin(), cache.end())
        .subspan(head * headBytes(positions, features), headBytes(positions, features));
  }

  std::shared_ptr<Catalog> catalog;
  std::shared_ptr<const KernelStorage> storage;
  std::string element;
  std::unique_ptr<mlir::MLIRContext> context;
};

/// Appended positions have the fields that the encoder gives, all others keep what they had.
TEST_P(CodedCache, HoldsWhatTheEncoderGives) {
  const Repacker repacker = Repacker::create(storage).value();
  const int heads = 2, capacity = 48;
  for (int headDim : {32, 64, 80, 100}) {
    const std::string text = appendText(heads, headDim, element);
    for (const Target &target : testableTargets()) {
      const CompiledKernels kernels = compileLayer(*context, text, target);
      ASSERT_FALSE(HasFailure());
      for (auto [tokens, past] : {std::pair{1, 0}, {17, 0}, {1, 15}, {5, 14}, {2, 31}, {33, 7}, {1, 47}}) {
        SCOPED_TRACE(fmt::format("{}: {} features, {} tokens after {}", target.name, headDim, tokens, past));
        std::vector<Head> inputs[] = {randomHeads(*storage, heads, capacity, headDim, 1),
                                      randomHeads(*storage, heads, capacity, headDim, 2)};
        std::vector<Buffer<float>> rows;
        std::vector<Buffer<std::byte>> caches, before;
        for (std::vector<Head> &of : inputs) {
          Buffer<float> &row = rows.emplace_back(size_t(tokens) * heads * headDim);
          for (int t = 0; t < tokens; ++t)
            for (int i = 0; i < heads * headDim; ++i)
              row[size_t(t) * heads * headDim + i] = of[i / headDim].at(past + t, i % headDim);
          Buffer<std::byte> &bytes = caches.emplace_back(heads * headBytes(capacity, headDim));
          std::mt19937 generator(7);
          for (std::byte &b : bytes)
            b = std::byte(generator());
          before.push_back(bytes);
        }
        const std::vector<int64_t> args = {rows[0].address(),   tokens,   rows[1].address(),   tokens,  past,
                                           caches[0].address(), capacity, caches[1].address(), capacity};
        runBackwards(kernels, args);
        for (int i = 0; i < 2; ++i) {
          EXPECT_TRUE(caches[i].guardIntact());
          for (int h = 0; h < heads; ++h) {
            const Head &head = inputs[i][h];
            FieldValues expected = head.fields();
            auto was = repacker.toFields(bytesOf(before[i], h, capacity, headDim), capacity, head.padded).value();
            auto is = repacker.toFields(bytesOf(caches[i], h, capacity, headDim), capacity, head.padded).value();
            size_t wrong = 0;
            for (const Field &field : storage->format()->fields())
              for (int p = 0; p < capacity; ++p)
                for (int d = 0; d < head.padded; ++d) {
                  const int64_t cell = cellIndex(*head.format, field, p, d, capacity, head.padded);
                  const auto &from = p >= past && p < past + tokens ? expected : was;
                  wrong += is[field.index][cell] != from[field.index][cell];
                }
            EXPECT_EQ(wrong, 0u) << (i ? "values" : "keys") << " of head " << h;
          }
        }
      }
    }
  }
}

/// Attention in f64 over the numbers that the cache holds.
TEST_P(CodedCache, IsReadByAttention) {
  const Repacker repacker = Repacker::create(storage).value();
  for (const Shape &shape : {Shape{4, 2, 32, 32}, Shape{8, 1, 64, 64}, Shape{3, 3, 80, 80}, Shape{6, 2, 128, 96},
                             Shape{4, 2, 32, 32, 20}, Shape{16, 1, 64, 64, 0, 2.0f}}) {
    std::vector<Target> targets = runnableTargets();
    const CompiledKernels slow = compileLayer(*context, kernelText(shape, element), targets.front());
    const CompiledKernels fast = compileLayer(*context, kernelText(shape, element), targets.back());
    ASSERT_FALSE(HasFailure());
    for (int past : {0, 1, 15, 16, 63, 127, 130})
      for (int tokens : {1, 2, 7, 17}) {
        SCOPED_TRACE(fmt::format("{} heads of {}, {} tokens after {}", shape.heads, shape.headDim, tokens, past));
        Call call(shape, tokens, past);
        const auto keys = randomHeads(*storage, shape.keyHeads, call.capacity, shape.headDim, 3),
                   values = randomHeads(*storage, shape.keyHeads, call.capacity, shape.valueDim, 4);
        Buffer<std::byte> keyCache(shape.keyHeads * headBytes(call.capacity, shape.headDim)),
            valueCache(shape.keyHeads * headBytes(call.capacity, shape.valueDim));
        std::vector<std::vector<float>> k, v;
        for (int h = 0; h < shape.keyHeads; ++h) {
          ASSERT_TRUE(repacker.fromFields(keys[h].fields(), call.capacity, keys[h].padded,
                                          bytesOf(keyCache, h, call.capacity, shape.headDim)));
          ASSERT_TRUE(repacker.fromFields(values[h].fields(), call.capacity, values[h].padded,
                                          bytesOf(valueCache, h, call.capacity, shape.valueDim)));
          k.push_back(keys[h].decoded());
          v.push_back(values[h].decoded());
        }
        const std::vector<double> expected =
            call.attention([&](int h, int p, int d) { return k[h][p * keys[h].padded + d]; },
                           [&](int h, int p, int d) { return v[h][p * values[h].padded + d]; });
        auto args = [&](Buffer<float> &y) -> std::vector<int64_t> {
          return {call.q.address(), tokens, keyCache.address(), call.capacity, valueCache.address(),
                  call.capacity,    past,   y.address(),        tokens};
        };
        Buffer<float> y = call.makeResult(), again = call.makeResult();
        fast.runAll("kernel", args(y));
        EXPECT_LT(normalizedError(y, expected), 1e-11);
        EXPECT_TRUE(y.guardIntact());
        runBackwards(fast, args(again));
        EXPECT_TRUE(y == again);
        slow.runAll("kernel", args(again));
        EXPECT_TRUE(y == again);
        // Token by token, as decoding goes.
        Buffer<float> pieces = call.makeResult();
        const int64_t in = 4 * shape.heads * shape.headDim, out = 4 * shape.heads * shape.valueDim;
        for (int t = 0; t < tokens; ++t)
          fast.runAll("kernel", std::vector<int64_t>{call.q.address() + t * in, 1, keyCache.address(), call.capacity,
                                                     valueCache.address(), call.capacity, past + t,
                                                     pieces.address() + t * out, 1});
        EXPECT_TRUE(y == pieces);
      }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, CodedCache, testing::Values("q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "bf16", "f32"));

} // namespace
