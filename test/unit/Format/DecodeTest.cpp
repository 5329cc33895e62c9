//===- DecodeTest.cpp - what stored bits mean, against values from elsewhere ------------------------------------===//

#include "TestFormats.h"
#include "quantc/Format/Arithmetic.h"
#include <cstring>
#include <fstream>
#include <gmock/gmock.h>
#include <random>
#include <sstream>

using namespace quantc;
using namespace quantc::test;

namespace {

/// Blocks of one row.
std::vector<float> decodeBlocks(const std::string &spec, std::span<const std::byte> storage) {
  auto format = formatOf(spec);
  const int64_t K = static_cast<int64_t>(storage.size()) / format->block()->bytes * format->block()->columns;
  return decoded(*format, readBlocks(*format, storage, 1, K), 1, K);
}

/// Lines of test/golden/format/*.txt: a format, blocks of it in hexadecimal, the first values that another decoder
/// gives.
TEST(Decode, BlocksOfOtherDecoders) {
  int lines = 0;
  for (const auto &entry : std::filesystem::directory_iterator(QUANTC_SOURCE_DIR "/test/golden/format")) {
    if (entry.path().extension() != ".txt")
      continue;
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with("#"))
        continue;
      std::istringstream words(line);
      std::string spec, hex, number;
      words >> spec >> hex;
      const auto values = decodeBlocks(spec, fromHex(hex));
      for (size_t i = 0; words >> number; i++) {
        EXPECT_EQ(fmt::format("{:.9g}", values[i]), number) << spec << " " << i;
      }
      lines++;
    }
  }
  EXPECT_GE(lines, 40);
}

/// Random blocks and what gguf-py decodes from them (test/oracle/format_blocks.py), bit for bit with NaN and signs of
/// zero.
TEST(Decode, RandomBlocksOfGguf) {
  const Bytes golden = readBytes(QUANTC_SOURCE_DIR "/test/golden/format/gguf-blocks.bin");
  std::span<const std::byte> rest = golden;
  auto part = [&](size_t scale) {
    uint32_t size;
    std::memcpy(&size, rest.data(), 4);
    auto bytes = rest.subspan(4, size * scale);
    rest = rest.subspan(4 + size * scale);
    return bytes;
  };
  int types = 0;
  for (; !rest.empty(); types++) {
    auto name = part(1);
    const std::string spec(reinterpret_cast<const char *>(name.data()), name.size());
    auto storage = part(1);
    auto raw = part(4);
    std::vector<float> want(raw.size() / 4);
    std::memcpy(want.data(), raw.data(), raw.size());
    EXPECT_TRUE(sameValues(decodeBlocks(spec, storage), want)) << spec;
    auto format = formatOf(spec);
    const auto K = static_cast<int64_t>(want.size());
    EXPECT_EQ(toHex(storeBlocks(*format, readBlocks(*format, storage, 1, K), 1, K)), toHex(storage)) << spec;
  }
  EXPECT_GE(types, 25);
}

/// Blocks that gguf-py does not know, by index arithmetic.
TEST(Decode, BlocksWithCodesInOrder) {
  for (const auto &[spec, width] : {std::pair("q1_0", 1), std::pair("q2_0", 2)}) {
    const Bytes storage = randomBytes(18 * 100, 5);
    std::vector<float> want;
    for (size_t b = 0; b < storage.size(); b += 18) {
      uint16_t scale;
      std::memcpy(&scale, &storage[b], 2);
      for (int i = 0; i < 128 / width; i++) {
        const int code = static_cast<int>(storage[b + 2 + i * width / 8]) >> (i * width % 8) & ((1 << width) - 1);
        want.push_back(fromF16(scale) * static_cast<float>(width == 1 ? 2 * code - 1 : code - 1));
      }
    }
    EXPECT_TRUE(sameValues(decodeBlocks(spec, storage), want)) << spec;
  }
  const Bytes storage = randomBytes(292 * 20, 6);
  std::vector<float> want;
  for (size_t b = 0; b < storage.size(); b += 292) {
    float scale;
    std::memcpy(&scale, &storage[b], 4);
    for (int i = 0; i < 256; i++)
      want.push_back(scale * static_cast<float>(static_cast<int8_t>(storage[b + 4 + i])));
  }
  EXPECT_TRUE(sameValues(decodeBlocks("q8_k", storage), want));
}

/// All bit patterns of the small floats: sign, exponent, mantissa as the standards say.
TEST(Decode, SmallFloats) {
  struct Kind {
    FieldKind kind;
    int exponentBits, mantissaBits, bias;
    bool infinities, nanAtTop;
  };
  for (const Kind &kind : {Kind{FieldKind::E4M3, 4, 3, 7, false, true},
                           {FieldKind::E5M2, 5, 2, 15, true, true},
                           {FieldKind::E2M1, 2, 1, 1, false, false},
                           {FieldKind::E2M3, 2, 3, 1, false, false},
                           {FieldKind::E3M2, 3, 2, 3, false, false},
                           {FieldKind::F16, 5, 10, 15, true, true}})
    for (uint64_t raw = 0; raw < uint64_t(1) << (1 + kind.exponentBits + kind.mantissaBits); raw++) {
      const int top = (1 << kind.exponentBits) - 1, ones = (1 << kind.mantissaBits) - 1;
      const int exponent = static_cast<int>(raw >> kind.mantissaBits) & top, mantissa = static_cast<int>(raw) & ones;
      double want = exponent ? std::pow(2.0, exponent - kind.bias) * (1 + mantissa / double(ones + 1))
                             : std::pow(2.0, 1 - kind.bias) * mantissa / double(ones + 1);
      if (kind.infinities && exponent == top)
        want = mantissa ? NAN : INFINITY;
      else if (kind.nanAtTop && exponent == top && mantissa == ones)
        want = NAN;
      if (raw >> (kind.exponentBits + kind.mantissaBits))
        want = -want;
      const auto wanted = static_cast<float>(want);
      EXPECT_TRUE(sameValues(std::vector{fromBits(kind.kind, raw)}, std::vector{wanted}))
          << static_cast<int>(kind.kind) << " " << raw;
    }
  EXPECT_EQ(fromBits(FieldKind::E8M0, 127), 1.0f);
  EXPECT_EQ(fromBits(FieldKind::E8M0, 0), std::ldexp(1.0f, -127));
  EXPECT_EQ(fromBits(FieldKind::E8M0, 254), std::ldexp(1.0f, 127));
  EXPECT_TRUE(std::isnan(fromBits(FieldKind::E8M0, 255)));
}

/// Conversions to 16 bits against the compiler's, on every f16, its neighbours, and random bits.
TEST(Decode, RoundingToSixteenBits) {
  std::mt19937 random(3);
  for (uint32_t i = 0; i < (1u << 16) * 8; i++) {
    const uint32_t around = std::bit_cast<uint32_t>(fromF16(static_cast<uint16_t>(i))) + (i >> 16) * 0x800 - 0x1000;
    for (uint32_t bits : {around, static_cast<uint32_t>(random())}) {
      const auto value = std::bit_cast<float>(bits);
      if (std::isnan(value))
        continue;
      const auto half = static_cast<_Float16>(value);
      ASSERT_EQ(toF16(value), std::bit_cast<uint16_t>(half)) << bits;
      ASSERT_EQ(fromF16(toF16(value)), static_cast<float>(half)) << bits;
      const double below = fromBF16(static_cast<uint16_t>(bits >> 16)),
                   above = fromBF16(static_cast<uint16_t>((bits >> 16) + 1));
      if (std::isfinite(below) && std::isfinite(above)) {
        const double low = std::abs(value - below), high = std::abs(value - above);
        const bool up = high < low || (high == low && (bits >> 16 & 1));
        ASSERT_EQ(toBF16(value), static_cast<uint16_t>((bits >> 16) + up)) << bits;
      }
    }
  }
  EXPECT_TRUE(std::isnan(fromF16(toF16(NAN))));
  EXPECT_TRUE(std::isnan(fromBF16(toBF16(std::bit_cast<float>(0x7f800001u)))));
}

/// Fields of one row given as numbers.
FieldValues fieldsOf(const Format &format, int64_t N, int64_t K,
                     const std::map<std::string, std::vector<uint64_t>> &given) {
  FieldValues fields = zeroFields(format, N, K);
  for (auto &[name, cells] : given) {
    const Field *f = format.field(name);
    EXPECT_TRUE(f && fields[f->index].size() == cells.size()) << name;
    fields[f->index] = cells;
  }
  return fields;
}

TEST(Decode, SamplesOfCheckpointFormats) {
  auto int4 = formatOf("int:4:gK:f32");
  EXPECT_TRUE(sameValues(decoded(*int4, fieldsOf(*int4, 1, 4, {{"q", {3, 8, 13, 2}}, {"s", {0x3f000000}}}), 1, 4),
                         std::vector<float>{-2.5, 0, 2.5, -3}));

  auto fp8 = formatOf("fp8:r1");
  const float scale = 1.0f / 448;
  const auto y = decoded(
      *fp8, fieldsOf(*fp8, 1, 4, {{"q", {0x76, 0xfe, 0x6e, 0x7a}}, {"s", {std::bit_cast<uint32_t>(scale)}}}), 1, 4);
  EXPECT_THAT(y, ::testing::Pointwise(::testing::FloatNear(1e-6f), {0.5f, -1.0f, 0.25f, 0.7142857f}));

  auto int8 = formatOf("int8_row");
  const auto z = decoded(*int8, fieldsOf(*int8, 1, 4, {{"q", {64, 129, 32, 95}}, {"scb", {0x3f800000}}}), 1, 4);
  EXPECT_THAT(z, ::testing::Pointwise(::testing::FloatNear(4e-3f), {0.5f, -1.0f, 0.25f, 0.75f}));

  std::vector<uint64_t> codes;
  for (uint64_t i = 0; i < 64; i++)
    codes.push_back((5 * i + 3) % 16);
  auto block = formatOf("nvfp4"), planar = formatOf("nvfp4_global");
  const auto a = decoded(*block, fieldsOf(*block, 1, 64, {{"q", codes}, {"s", {0x38, 0x40, 8, 0x7e}}}), 1, 64);
  for (auto &[i, want] :
       {std::pair(0, 1.5f), {1, 0.0f}, {2, -3.0f}, {3, 1.0f}, {16, 3.0f}, {32, 0.0234375f}, {48, 672.0f}})
    EXPECT_EQ(a[i], want) << i;
  const auto b = decoded(
      *planar, fieldsOf(*planar, 1, 64, {{"q", codes}, {"s", {0x38, 0x40, 8, 0x7e}}, {"g", {0x3f800000}}}), 1, 64);
  EXPECT_TRUE(sameValues(a, b, true));
}

/// Samples of the three hash codebooks.
TEST(Decode, SamplesOfTrellisCodebooks) {
  const std::vector<float> want[] = {{.76806640625, -.91943359375, .931640625, -2.19921875, -.158203125},
                                     {1.84375, .134521484375, -.75927734375, 1.5146484375, .85009765625},
                                     {-3.453125, .64111328125, -.448486328125, -.5771484375, -.6513671875}};
  for (int book = 0; book < 3; book++) {
    auto format = formatOf(fmt::format("exl3:8:cb{}", book));
    std::vector<float> got;
    for (uint64_t state : {0x0, 0x1, 0x2, 0x1234, 0xffff}) {
      std::vector<uint64_t> symbols(256);
      symbols[0] = state & 255;
      symbols[255] = state >> 8;
      got.push_back(decoded(*format, fieldsOf(*format, 16, 16, {{"s", symbols}}), 16, 16)[0]);
    }
    EXPECT_TRUE(sameValues(got, want[book])) << book;
  }
}

/// Whole trellis tiles against a reader that follows the description of the stream, not our layout.
TEST(Decode, TrellisTilesOfAnIndependentReader) {
  for (int width = 1; width <= 8; width++) {
    auto format = formatOf(fmt::format("exl3:{}", width));
    auto binding = bindingOf("exl3", fmt::format("exl3:{}", width), 32, 64);
    const Bytes data = randomBytes(32 * width * 8, width);
    auto fields = binding->read(views({data}));
    ASSERT_TRUE(fields);
    std::vector<float> want(32 * 64);
    for (int tile = 0; tile < 8; tile++) {
      std::vector<int> stream; // bits, the most significant of each word first; halves of dwords are swapped
      for (int word = 0; word < 16 * width; word++) {
        uint16_t value;
        std::memcpy(&value, &data[32 * width * tile + 2 * (word ^ 1)], 2);
        for (int bit = 15; bit >= 0; bit--)
          stream.push_back(value >> bit & 1);
      }
      const int size = static_cast<int>(stream.size());
      for (int t = 0; t < 256; t++) {
        uint32_t state = 0;
        for (int bit = (t + 1) * width - 16; bit < (t + 1) * width; bit++)
          state = state << 1 | stream[(bit + size) % size];
        const uint32_t hash = ((state * 89226354u + 64248484u) & 0x8fff8fff) ^ 0x3b603b60;
        const float sum = fromF16(static_cast<uint16_t>(hash)) + fromF16(static_cast<uint16_t>(hash >> 16));
        const int lane = t / 8, step = t % 8, k = 2 * (lane % 4) + (step % 2) + 8 * (step / 2 % 2),
                  n = lane / 4 + 8 * (step / 4);
        want[(16 * (tile % 2) + n) * 64 + 16 * (tile / 2) + k] = fromF16(toF16(sum));
      }
    }
    EXPECT_TRUE(sameValues(decoded(*format, *fields, 32, 64), want)) << width;
  }
}

/// Scopes, by formulas written down here: codebooks of a tensor, flat groups that cross rows, tiles with ragged ends.
TEST(Decode, Scopes) {
  auto aqlm = formatOf("aqlm");
  auto fields = randomFields(*aqlm, 16, 64, 11);
  const auto &code = fields[aqlm->field("code")->index], &book = fields[aqlm->field("book")->index],
             &row = fields[aqlm->field("s")->index];
  std::vector<float> want;
  for (size_t n = 0; n < 16; n++)
    for (size_t k = 0; k < 64; k++) {
      const size_t at = (n * 8 + k / 8) * 2;
      auto entry = [&](size_t b) { return fromF16(static_cast<uint16_t>(book[(b * 256 + code[at + b]) * 8 + k % 8])); };
      want.push_back(fromF16(static_cast<uint16_t>(row[n])) * (entry(0) + entry(1)));
    }
  EXPECT_TRUE(sameValues(decoded(*aqlm, fields, 16, 64), want));

  auto fp8 = formatOf("fp8:r128:c128");
  fields = randomFields(*fp8, 200, 300, 12);
  want.clear();
  for (size_t n = 0; n < 200; n++)
    for (size_t k = 0; k < 300; k++)
      want.push_back(
          fromBits(FieldKind::E4M3, fields[fp8->field("q")->index][n * 300 + k]) *
          std::bit_cast<float>(static_cast<uint32_t>(fields[fp8->field("s")->index][n / 128 * 3 + k / 128])));
  EXPECT_TRUE(sameValues(decoded(*fp8, fields, 200, 300), want));

  auto nf4 = formatOf("nf4:b32");
  fields = randomFields(*nf4, 7, 39, 13);
  const Table &table = *nf4->table("code");
  want.clear();
  for (size_t i = 0; i < 7 * 39; i++)
    want.push_back(table.floats[fields[nf4->field("q")->index][i]] *
                   std::bit_cast<float>(static_cast<uint32_t>(fields[nf4->field("absmax")->index][i / 32])));
  EXPECT_TRUE(sameValues(decoded(*nf4, fields, 7, 39), want));
}

/// One operation after the other, as the language defines them; expectations by hand.
TEST(Decode, Operations) {
  auto value = [](const std::string &expression) {
    auto parsed = parseText("format a\nq : u4 per weight\nvalue = (" + expression + ") + 0.0 * q\n");
    EXPECT_TRUE(parsed) << parsed.error().message;
    auto format = Format::create(*parsed);
    if (!format) {
      ADD_FAILURE() << expression << ": " << format.error().message;
      return std::vector<float>(600);
    }
    return decoded(**format, zeroFields(**format, 2, 300), 2, 300);
  };
  auto first = [&](const std::string &expression) { return value(expression)[0]; };
  EXPECT_EQ(first("-7 / 2"), -4);
  EXPECT_EQ(first("-7 % 3"), 2);
  EXPECT_EQ(first("1 | 6 ^ 3 & 5"), 7); // 6 ^ (3 & 5) = 7
  EXPECT_EQ(first("1 + 2 << 1"), 6);
  EXPECT_EQ(first("3 & 1 == 1"), 1); // comparisons are loosest
  EXPECT_EQ(first("!5 + ~0"), -1);
  EXPECT_EQ(first("ceildiv(7, 2)"), 4);
  EXPECT_EQ(first("parity(7) + parity(3)"), 1);
  EXPECT_EQ(first("min(3, 2.5)"), 2.5f);
  EXPECT_EQ(first("max(-3, 2) + abs(-4)"), 6);
  EXPECT_EQ(first("bits_f32(0x3f800000)"), 1);
  EXPECT_EQ(first("bits_f16(0x3c00)"), 1);
  EXPECT_EQ(first("round_f16(1.0004883)"), 1.0f); // a tie, to even
  EXPECT_EQ(first("round_bf16(1.01)"), 1.0078125f);
  EXPECT_EQ(first("sum(j:4, j * j)"), 14);
  EXPECT_EQ(first("sum(j:3, sum(l:2, j * 10 + l))"), 63);
  EXPECT_EQ(first("sum(j:3, sum(j:2, j) * j)"), 3);
  EXPECT_EQ(first("0.1 + 0.2 - 0.3"), (0.1f + 0.2f) - 0.3f);
  EXPECT_EQ(first("0x1p-10"), 0x1p-10f);
  EXPECT_EQ(first("0x1.a8p2"), 0x1.a8p2f);
  EXPECT_EQ(first("2 < 3 ? 0.25 : 4"), 0.25f);
  const auto all = value("(n * 1000 + k) % 4096");
  EXPECT_EQ(all[299], 299);
  EXPECT_EQ(all[300], 1000);
  EXPECT_EQ(all[599], 1299);
}

} // namespace
