//===- RepackTest.cpp -------------------------------------------------------------------------------------------===//
#include "quantc/Format/Repack.h"
#include "TestFormats.h"
#include <algorithm>
#include <bit>
#include <cstring>

using namespace quantc;
using namespace quantc::test;

namespace {
/// Null where the format has no kernel storage.
std::shared_ptr<const KernelStorage> storageOf(const std::string &spec, StorageRule rule = {}) {
  auto derived = KernelStorage::derive(formatOf(spec), rule);
  return derived ? std::make_shared<const KernelStorage>(std::move(*derived)) : nullptr;
}

/// Formats of the data directory with kernel storage, with several parameters.
std::vector<std::string> specs() {
  std::vector<std::string> all = catalog().formatNames();
  for (const char *more : {"int:3:g64:asym", "int:5:g96:asym:bf16", "int:8:gK:asym", "int:1:g512", "int:4:g288",
                           "mlx:6:g32", "hqq:2:g16:f32", "fp4:dq", "fp4:b32", "nf4:dq", "nf4:b128:dq", "nf4:b4096",
                           "fp8:r1", "fp8:r128:c128", "fp8:r16:c48:e5m2:bf16", "nvfp4_global:times"})
    all.push_back(more);
  std::erase_if(all, [](const std::string &spec) { return !storageOf(spec); });
  return all;
}

Bytes repackFields(const Repacker &repacker, const FieldValues &fields, int64_t N, int64_t K) {
  Bytes packed(static_cast<size_t>(repacker.storage().bytes(N, K)), std::byte(0xa5));
  auto status = repacker.fromFields(fields, N, K, packed, 1);
  EXPECT_TRUE(status.has_value()) << status.error().message;
  return packed;
}

/// Ns and Ks around whole blocks of kernel storage, as far as the format can hold them.
std::vector<std::pair<int64_t, int64_t>> shapes(const KernelStorage &storage) {
  std::vector<std::pair<int64_t, int64_t>> all;
  const int64_t C = storage.columns();
  for (int64_t N : {1, 15, 16, 17, 37})
    for (int64_t K : {C, 2 * C, 3 * C, C / 2, C + C / 2, int64_t(1), int64_t(31), C - 1, C + 1, C + 7})
      if (K > 0 && storage.checkShape(N, K))
        all.emplace_back(N, K);
  return all;
}
} // namespace

TEST(Repack, MostFormatsHaveKernelStorage) {
  const auto all = specs();
  EXPECT_GE(all.size(), 50u);
  for (const char *without : {"exl3", "aqlm"})
    EXPECT_EQ(std::ranges::count(all, without), 0);
}

/// decode(toFields(fromFields(fields))) is decode(fields), bit for bit.
TEST(Repack, KeepsValues) {
  for (const std::string &spec : specs()) {
    auto repacker = Repacker::create(storageOf(spec));
    ASSERT_TRUE(repacker);
    uint64_t seed = 1;
    for (auto [N, K] : shapes(repacker->storage())) {
      const Format &source = *repacker->storage().source(), &stored = *repacker->storage().format();
      const FieldValues fields = randomFields(source, N, K, seed++);
      const Bytes packed = repackFields(*repacker, fields, N, K);
      auto back = repacker->toFields(packed, N, K, 1);
      ASSERT_TRUE(back);
      EXPECT_TRUE(sameValues(decoded(stored, *back, N, K), decoded(source, fields, N, K)))
          << spec << " " << N << " x " << K;
    }
  }
}

/// All residues of N modulo 16 and of K modulo C.
TEST(Repack, AllResidues) {
  for (const char *spec : {"int:3:g32:asym", "f16", "fp8:r16:c48"}) {
    auto repacker = Repacker::create(storageOf(spec));
    const Format &format = *formatOf(spec);
    for (int64_t K = 1; K <= 2 * repacker->storage().columns(); K++) {
      const int64_t N = 1 + K % 33;
      const FieldValues fields = randomFields(format, N, K, K);
      auto back = repacker->toFields(repackFields(*repacker, fields, N, K), N, K, 1);
      EXPECT_TRUE(sameValues(decoded(format, *back, N, K), decoded(format, fields, N, K)))
          << spec << " " << N << " x " << K;
    }
  }
}

/// The composed moves give what the definition gives: each plane of each cell at its bit address.
TEST(Repack, BlocksAndFieldsGiveTheSameBytes) {
  unsigned composed = 0;
  for (const std::string &spec : specs()) {
    auto format = formatOf(spec);
    if (!format->block() || spec == "q8_k")
      continue;
    for (unsigned rows : {16u, 8u, 32u}) {
      auto repacker = Repacker::create(storageOf(spec, {.rows = rows}));
      for (auto [N, K] : shapes(repacker->storage())) {
        const int64_t blocks = N / format->block()->rows * (K / format->block()->columns);
        const Bytes file = randomBytes(static_cast<size_t>(blocks * format->block()->bytes), N * 1000 + K);
        Bytes packed(static_cast<size_t>(repacker->storage().bytes(N, K)), std::byte(0xa5));
        auto status = repacker->fromBlocks(file, N, K, packed, 2);
        ASSERT_TRUE(status) << status.error().message;
        EXPECT_EQ(packed, repackFields(*repacker, readBlocks(*format, file, N, K), N, K))
            << spec << " " << N << " x " << K;
        composed++;
      }
    }
  }
  EXPECT_GT(composed, 500u);
}

/// Rows and columns beyond the weight are zero bits.
TEST(Repack, PadsWithZeros) {
  for (const char *spec : {"int:4:g32:asym", "q4_0", "mxfp4"}) {
    auto storage = storageOf(spec);
    auto repacker = Repacker::create(storage);
    FieldValues fields = zeroFields(*formatOf(spec), 3, 32);
    for (auto &cells : fields)
      std::ranges::fill(cells, ~uint64_t(0) >> 32);
    for (const Field &f : formatOf(spec)->fields())
      for (uint64_t &cell : fields[f.index])
        cell &= (uint64_t(1) << f.width) - 1;
    const Bytes packed = repackFields(*repacker, fields, 3, 32);
    size_t ones = 0, expected = 0;
    for (std::byte b : packed)
      ones += std::popcount(static_cast<uint8_t>(b));
    for (const StorageItem &item : storage->items())
      expected += 3 * item.cells * item.field->width;
    EXPECT_EQ(ones, expected) << spec;
  }
}

/// One block of 16 x 256, byte by byte as the documented layout of `SharesLinesInTheHead` says, from file bytes put
/// together by hand after ggml's block_q4_K.
TEST(Repack, GoldenSuperBlock) {
  Bytes file(16 * 144);
  auto scale = [](int r, int g) { return (r * 5 + g * 11 + 3) % 64; };
  auto minimum = [](int r, int g) { return (r * 7 + g * 13 + 1) % 64; };
  auto code = [](int r, int k) { return (r * 3 + k * 7 + k / 32) % 16; };
  for (int r = 0; r < 16; r++) {
    std::byte *b = file.data() + r * 144;
    const uint16_t d = 0x2000 + r, dmin = 0x2100 + r;
    std::memcpy(b, &d, 2);
    std::memcpy(b + 2, &dmin, 2);
    for (int j = 0; j < 4; j++) { // get_scale_min_k4, inverted
      b[4 + j] = std::byte(scale(r, j) | scale(r, j + 4) >> 4 << 6);
      b[8 + j] = std::byte(minimum(r, j) | minimum(r, j + 4) >> 4 << 6);
      b[12 + j] = std::byte((scale(r, j + 4) & 15) | (minimum(r, j + 4) & 15) << 4);
    }
    for (int p = 0; p < 4; p++)
      for (int l = 0; l < 32; l++)
        b[16 + 32 * p + l] = std::byte(code(r, 64 * p + l) | code(r, 64 * p + 32 + l) << 4);
  }
  Bytes want(2304);
  for (int r = 0; r < 16; r++) {
    const uint16_t d = 0x2000 + r, dmin = 0x2100 + r;
    std::memcpy(want.data() + 2 * r, &d, 2);
    std::memcpy(want.data() + 32 + 2 * r, &dmin, 2);
    for (int j = 0; j < 4; j++) {
      const int s0 = scale(r, j), s1 = scale(r, j + 4), m0 = minimum(r, j), m1 = minimum(r, j + 4);
      want[64 + 4 * r + j] = std::byte((s0 & 15) | (s1 & 15) << 4);
      want[128 + 4 * r + j] = std::byte((m0 & 15) | (m1 & 15) << 4);
      want[192 + 4 * r + j] = std::byte(s0 >> 4 | s1 >> 4 << 2 | m0 >> 4 << 4 | m1 >> 4 << 6);
    }
    for (int s = 0; s < 32; s++)
      for (int j = 0; j < 4; j++)
        want[256 + 64 * s + 4 * r + j] = std::byte(code(r, 8 * s + j) | code(r, 8 * s + 4 + j) << 4);
  }
  auto repacker = Repacker::create(storageOf("q4_k"));
  Bytes packed(2304);
  ASSERT_TRUE(repacker->fromBlocks(file, 16, 256, packed));
  EXPECT_EQ(toHex(packed), toHex(want));
}

/// The number of threads changes nothing.
TEST(Repack, Threads) {
  auto repacker = Repacker::create(storageOf("nf4:dq"));
  const FieldValues fields = randomFields(*formatOf("nf4:dq"), 100, 256, 5);
  Bytes one(static_cast<size_t>(repacker->storage().bytes(100, 256))), many = one;
  ASSERT_TRUE(repacker->fromFields(fields, 100, 256, one, 1));
  ASSERT_TRUE(repacker->fromFields(fields, 100, 256, many, 7));
  EXPECT_EQ(one, many);
}

TEST(Repack, Errors) {
  auto repacker = Repacker::create(storageOf("q4_0"));
  Bytes file(18), packed(288);
  EXPECT_EQ(repacker->fromBlocks(file, 1, 64, packed).error().message,
            "kernel storage of q4_0 for a weight of 1 x 64 has 576 bytes, not 288");
  EXPECT_EQ(repacker->fromBlocks(file, 2, 32, packed).error().message,
            "a weight of 2 x 32 in q4_0 has 36 bytes, not 18");
  EXPECT_EQ(repacker->fromBlocks(file, 1, 31, packed).error().message,
            "q4_0 cannot hold a weight of 1 x 31: its blocks are 1 x 32");
  EXPECT_EQ(repacker->fromFields({}, 1, 32, packed).error().message,
            "field 'd' of q4_0 does not have the cells of a weight of 1 x 32");
  EXPECT_FALSE(repacker->toFields(file, 1, 32));
  auto planar = Repacker::create(storageOf("int:g32"));
  EXPECT_EQ(planar->fromBlocks(file, 1, 32, packed).error().message,
            "a weight of int:g32 does not consist of blocks alone: read its fields from a container");
}
