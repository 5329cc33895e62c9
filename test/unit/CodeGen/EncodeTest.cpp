//===- EncodeTest.cpp - activations quantized by a kernel -------------------------------------------------------===//

#include "LinearKernel.h"
#include <bit>
#include <cmath>
#include <cstring>
#include <gmock/gmock.h>

using namespace quantc;
using namespace quantc::test;

namespace {

class EncodeTest : public testing::TestWithParam<std::tuple<int, int, int, int>> {};

// Codes and scales are those of a scalar loop, sums are exact, columns beyond K are zero, nothing else is written.
TEST_P(EncodeTest, EqualsScalarLoop) {
  const auto [K, group, sum, width] = GetParam();
  const int64_t M = 5, groups = (K + group - 1) / group;
  const std::string activations = fmt::format("a8:g{}:s{}:w{}", group, sum, width);
  auto context = createContext();
  std::vector<float> x = randomNormal(M * K, 3);
  std::fill_n(x.begin(), std::min(K, group), 0.0f); // a group of zeros has scale 0
  x[K] = 1e30f;
  x[2 * K] = 1e-40f;
  ReferenceActivations reference(x, M, K, group);
  for (const Target &target : testableTargets()) {
    SCOPED_TRACE(target.name);
    LinearCase linear{"f32", 16, K};
    std::string text = linearText(*context, linear, activations);
    auto kernels = CompiledKernels::compile(*context, text, target);
    // The product of f32 weights with codes has no code; the encoder alone is what is tested.
    ASSERT_FALSE(kernels);
    kernels = CompiledKernels::compile(*context, text.substr(0, text.find("func.func @linear")), target);
    ASSERT_TRUE(kernels) << kernels.error().message;
    const auto bytes = static_cast<int64_t>(activationStride(target, group + 4 + width / 8 * (group / sum)));
    AlignedBytes out(M * groups * bytes + 64, std::byte(0x55));
    int64_t args[] = {reinterpret_cast<int64_t>(x.data()), M, out.address(), M};
    kernels->runAll("encode", args);
    for (int64_t m = 0; m < M; m++)
      for (int64_t g = 0; g < groups; g++) {
        const std::byte *block = out.data() + (m * groups + g) * bytes;
        float scale;
        std::memcpy(&scale, block + group, 4);
        EXPECT_EQ(scale, reference.scales[m * groups + g]);
        for (int64_t first = 0; first < group; first += sum) {
          int32_t total = 0, expected = 0;
          std::memcpy(&total, block + group + 4 + width / 8 * (first / sum), width / 8);
          if (width == 16)
            total = static_cast<int16_t>(total);
          for (int64_t i = first; i < first + sum; i++) {
            const int64_t k = g * group + i;
            const int code = k < K ? reference.codes[m * K + k] : 0;
            ASSERT_EQ(static_cast<int8_t>(block[i]), code) << "token " << m << " column " << k;
            expected += code;
          }
          EXPECT_EQ(total, expected);
        }
      }
    for (int64_t i = 0; i < 64; i++)
      EXPECT_EQ(out.data()[M * groups * bytes + i], std::byte(0x55));
  }
}

INSTANTIATE_TEST_SUITE_P(Groups, EncodeTest,
                         testing::Values(std::tuple(64, 32, 32, 32), std::tuple(512, 256, 32, 16),
                                         std::tuple(512, 256, 16, 16), std::tuple(288, 256, 256, 32),
                                         std::tuple(33, 32, 32, 32), std::tuple(100, 64, 16, 32)));

// bf16 numbers, the same as f32, and their sums in order, columns beyond K being zero.
TEST(Encode, HalvesAndTheirSums) {
  constexpr int64_t M = 3, K = 300, group = 256, sum = 32, groups = 2;
  auto context = createContext();
  const std::vector<float> x = randomNormal(M * K, 3);
  for (const Target &target : testableTargets()) {
    SCOPED_TRACE(target.name);
    const std::string text = linearText(*context, {"f32", 16, K}, "a16s");
    auto kernels = CompiledKernels::compile(*context, text.substr(0, text.find("func.func @linear")), target);
    ASSERT_TRUE(kernels) << kernels.error().message;
    const size_t bytes = activationStride(target, 6 * group + 4 * (group / sum));
    AlignedBytes out(M * groups * bytes);
    int64_t args[] = {reinterpret_cast<int64_t>(x.data()), M, out.address(), M};
    kernels->runAll("encode", args);
    for (int64_t m = 0; m < M; m++)
      for (int64_t g = 0; g < groups; g++) {
        const std::byte *block = out.data() + (m * groups + g) * bytes;
        for (int64_t first = 0; first < group; first += sum) {
          float expected = 0, total;
          for (int64_t i = first; i < first + sum; i++) {
            const int64_t k = g * group + i;
            const float number = k < K ? static_cast<float>(nearestHalf(x[m * K + k])) : 0;
            uint16_t half;
            float wide;
            std::memcpy(&half, block + 2 * i, 2);
            std::memcpy(&wide, block + 2 * group + 4 * i, 4);
            ASSERT_EQ(std::bit_cast<float>(uint32_t(half) << 16), number) << "token " << m << " column " << k;
            ASSERT_EQ(wide, number) << "token " << m << " column " << k;
            expected += number;
          }
          std::memcpy(&total, block + 6 * group + 4 * (first / sum), 4);
          EXPECT_EQ(total, expected) << "token " << m << " sum " << first / sum;
        }
      }
  }
}

} // namespace
