//===- FragmentStorageTest.cpp - the storage for matrix units -----------------------------------------------------===//

#include "quantc/Format/FragmentStorage.h"
#include "TestFormats.h"
#include "quantc/Format/Layout.h"
#include <cstring>
#include <set>

using namespace quantc;
using namespace quantc::test;

static FragmentStorage storageOf(const std::string &spec) {
  auto fields = std::make_shared<const KernelStorage>(KernelStorage::derive(formatOf(spec)).value());
  return FragmentStorage::derive(fields).value();
}

/// Columns that a format can have, which fill as few units as can be.
static int64_t raggedColumns(const FragmentStorage &storage) {
  int64_t K = storage.columns() + 1;
  while (!storage.checkShape(3, K))
    K++;
  return K;
}

class FragmentStorageTest : public testing::TestWithParam<const char *> {};

// No bit of a unit has two owners; where cells fill a unit every bit has one.
TEST_P(FragmentStorageTest, EachBitHasOneOwner) {
  const FragmentStorage storage = storageOf(GetParam());
  for (const FragmentPlane &plane : storage.planes()) {
    SCOPED_TRACE(plane.item->field->name);
    std::set<unsigned> bits;
    size_t count = 0;
    for (unsigned row = 0; row < FragmentStorage::rows; row++)
      for (unsigned cell = 0; cell < plane.cells; cell++) {
        const FragmentSlot slot = FragmentStorage::slotOf(plane, row, cell);
        ASSERT_LE(slot.shift + plane.width, plane.wordBits);
        ASSERT_LT(slot.word, plane.words);
        for (unsigned bit = 0; bit < plane.width; bit++, count++)
          bits.insert(slot.word * plane.wordBits + slot.shift + bit);
      }
    EXPECT_EQ(bits.size(), count);
    EXPECT_LE(count, plane.unitBytes() * 8u);
    if (plane.inLanes)
      EXPECT_EQ(count, plane.unitBytes() * 8u);
  }
  EXPECT_EQ(storage.columns() % storage.tileColumns(), 0u);
}

// What is packed is unpacked; rows behind the last are zeros.
TEST_P(FragmentStorageTest, KeepsTheValues) {
  const std::shared_ptr<const Format> format = formatOf(GetParam());
  const FragmentStorage storage = storageOf(GetParam());
  const int64_t whole = 2 * storage.columns(), ragged = raggedColumns(storage);
  for (auto [N, K] : {std::pair(int64_t(16), whole), std::pair(int64_t(33), whole), std::pair(int64_t(33), ragged)}) {
    const FieldValues fields = randomFields(*format, N, K, 7);
    std::vector<std::byte> packed(static_cast<size_t>(storage.bytes(N, K)), std::byte(0xff));
    const Status status = storage.fromFields(fields, N, K, packed);
    ASSERT_TRUE(status) << status.error().message;
    const auto again = storage.toFields(packed, N, K);
    ASSERT_TRUE(again) << again.error().message;
    std::vector<float> before(static_cast<size_t>(N * K)), after(before.size());
    ASSERT_TRUE(decode(*format, fields, N, K, before.data()));
    ASSERT_TRUE(decode(*storage.fields().format(), *again, N, K, after.data()));
    EXPECT_EQ(std::memcmp(before.data(), after.data(), 4 * before.size()), 0) << N;
  }
  EXPECT_FALSE(storage.toFields(std::vector<std::byte>(16), 16, 2 * storage.columns()));
}

// Bits behind the last row and the last column are zeros.
TEST_P(FragmentStorageTest, PadsWithZeros) {
  const std::shared_ptr<const Format> format = formatOf(GetParam());
  const FragmentStorage storage = storageOf(GetParam());
  const int64_t N = 17, K = raggedColumns(storage), padded = storage.paddedColumns(K);
  EXPECT_EQ(padded % storage.columns(), 0);
  EXPECT_LT(padded - K, storage.columns());
  FieldValues ones = zeroFields(*format, N, K);
  for (const Field &field : format->fields())
    std::ranges::fill(ones[field.index], lowBits(field.width));
  std::vector<std::byte> packed(static_cast<size_t>(storage.bytes(N, K)), std::byte(0xff));
  ASSERT_TRUE(storage.fromFields(ones, N, K, packed));
  for (size_t p = 0; p < storage.planes().size(); p++) {
    const FragmentPlane &plane = storage.planes()[p];
    const int64_t units = padded / plane.columns;
    for (int64_t n = 0; n < 32; n++)
      for (int64_t k = 0; k < padded; k += plane.item->run) {
        if (n < N && k < K)
          continue;
        const FragmentSlot slot = FragmentStorage::slotOf(
            plane, static_cast<unsigned>(n % 16),
            static_cast<unsigned>(k % plane.columns / plane.item->run * plane.item->field->arraySize()));
        const int64_t unit = storage.planeOffset(p, N, K) + (n / 16 * units + k / plane.columns) * plane.unitBytes();
        EXPECT_EQ(readBits(packed.data() + unit, int64_t(slot.word) * plane.wordBits + slot.shift, plane.width), 0u)
            << plane.item->field->name << " " << n << " " << k;
      }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, FragmentStorageTest,
                         testing::Values("f32", "f16", "q8_0", "q4_k", "q6_k", "q3_k", "int:1:g96", "int:3:g64:asym",
                                         "int:4:g128", "int:8:gK", "nf4:dq", "iq1_m", "iq3_xxs", "tq1_0", "hqq:1:g8"),
                         [](const auto &info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), ':', '_');
                           return name;
                         });

// The order of the matrix instruction, written down by hand: eight codes of four bits of lane 4g + q in step t.
TEST(FragmentStorageLayout, FourBits) {
  const int64_t N = 32, K = 256;
  const std::shared_ptr<const Format> format = formatOf("int:4:g128");
  const FragmentStorage storage = storageOf("int:4:g128");
  const FieldValues fields = randomFields(*format, N, K, 5);
  const auto &codes = fields[format->field("q")->index], &scales = fields[format->field("s")->index];
  std::vector<std::byte> packed(storage.bytes(N, K));
  ASSERT_TRUE(storage.fromFields(fields, N, K, packed));
  ASSERT_EQ(storage.planes().size(), 2u);
  auto word = [&](int64_t at) {
    uint32_t value;
    std::memcpy(&value, packed.data() + at, 4);
    return value;
  };
  for (int64_t tile = 0; tile < N / 16; tile++)
    for (int64_t unit = 0; unit < K / 64; unit++)
      for (int64_t lane = 0; lane < 32; lane++)
        for (int64_t t = 0; t < 4; t++) {
          const int64_t row = 16 * tile + lane / 4, k = 64 * unit + 16 * t + 2 * (lane % 4), next[] = {0, 8, 1, 9};
          uint32_t want = 0;
          for (int i = 0; i < 8; i++)
            want |= static_cast<uint32_t>(codes[(row + 8 * (i % 2)) * K + k + next[i / 2]]) << 4 * i;
          ASSERT_EQ(word(((tile * (K / 64) + unit) * 32 + lane) * 16 + 4 * t), want)
              << tile << " " << unit << " " << lane;
        }
  const int64_t offset = storage.planeOffset(1, N, K);
  EXPECT_EQ(offset, N * K / 2);
  for (int64_t tile = 0; tile < N / 16; tile++)
    for (int64_t unit = 0; unit < K / 128; unit++)
      for (int64_t g = 0; g < 8; g++) {
        const auto low = static_cast<uint32_t>(scales[(16 * tile + g) * (K / 128) + unit]),
                   high = static_cast<uint32_t>(scales[(16 * tile + g + 8) * (K / 128) + unit]);
        EXPECT_EQ(word(offset + ((tile * (K / 128) + unit) * 8 + g) * 4), low | high << 16);
      }
}

TEST(FragmentStorageLayout, RefusesParts) {
  const FragmentStorage storage = storageOf("q4_k");
  EXPECT_TRUE(storage.checkShape(24, 256));
  EXPECT_FALSE(storage.checkShape(24, 96)); // super-blocks
  EXPECT_TRUE(storageOf("int:4:g32").checkShape(24, 97));
  std::vector<std::byte> packed(8);
  const FieldValues fields = zeroFields(*formatOf("q4_k"), 16, 256);
  EXPECT_FALSE(storage.fromFields(fields, 16, 256, packed));
}
