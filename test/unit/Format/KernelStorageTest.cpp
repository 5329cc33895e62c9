//===- KernelStorageTest.cpp ------------------------------------------------------------------------------------===//
#include "quantc/Format/KernelStorage.h"
#include "TestFormats.h"
#include "quantc/Format/Factoring.h"
#include <gmock/gmock.h>
#include <set>

using namespace quantc;
using namespace quantc::test;
using testing::HasSubstr;

namespace {
KernelStorage storage(const std::string &spec, StorageRule rule = {}) {
  auto derived = KernelStorage::derive(formatOf(spec), rule);
  EXPECT_TRUE(derived) << derived.error().message;
  return *derived;
}
std::string refusal(const std::string &spec) {
  auto derived = KernelStorage::derive(formatOf(spec));
  return derived ? "derived" : derived.error().message;
}
struct Size {
  const char *spec;
  unsigned columns, bytes;
};
} // namespace

/// Kernel storage of a GGUF type has the bytes of its file blocks (formats of 256 columns: 16 x the block's bytes).
TEST(KernelStorage, KeepsTheBytesOfFiles) {
  for (Size s :
       {Size{"q4_0", 32, 18}, {"q4_1", 32, 20},    {"q5_0", 32, 22},   {"q5_1", 32, 24},     {"q8_0", 32, 34},
        {"q2_k", 256, 84},    {"q3_k", 256, 110},  {"q4_k", 256, 144}, {"q5_k", 256, 176},   {"q6_k", 256, 210},
        {"iq2_xxs", 256, 66}, {"iq2_xs", 256, 74}, {"iq2_s", 256, 82}, {"iq3_xxs", 256, 98}, {"iq3_s", 256, 110},
        {"iq1_s", 256, 50},   {"iq1_m", 256, 56},  {"iq4_nl", 32, 18}, {"iq4_xs", 256, 136}, {"tq1_0", 256, 54},
        {"tq2_0", 256, 66},   {"mxfp4", 32, 17},   {"nvfp4", 64, 36},  {"q1_0", 128, 18},    {"q2_0", 64, 18}}) {
    KernelStorage k = storage(s.spec);
    EXPECT_EQ(k.columns(), s.columns) << s.spec;
    EXPECT_EQ(k.bytes(), 16 * s.bytes) << s.spec << "\n" << k.text();
  }
}

TEST(KernelStorage, SizesOfOtherFormats) {
  for (Size s : {Size{"f16", 32, 1024},
                 {"bf16", 32, 1024},
                 {"f32", 32, 2048},
                 {"int:4:g128", 128, 1024 + 32},           // s f16 per 128
                 {"int:4:g128:asym", 128, 1024 + 32 + 8},  // z: 16 nibbles
                 {"int:3:g64:asym", 64, 384 + 32 + 4 + 2}, // z: planes of 2 and 1 bits
                 {"int:4:g32:bf16", 32, 256 + 32},
                 {"int:8:gK", 128, 2048 + 32}, // the row's scale, repeated
                 {"int:4:g96", 96, 768 + 32},
                 {"int:4:g288", 96, 768 + 32},
                 {"int:4:g1024", 128, 1024 + 32},
                 {"int8_row", 128, 2048 + 64},
                 {"fp8", 128, 2048 + 64},
                 {"fp8:r128:c128:bf16", 128, 2048 + 32},
                 {"mxfp8", 32, 512 + 16},
                 {"mlx", 64, 512 + 64},
                 {"hqq:4:g64:f32", 64, 512 + 128},
                 {"nf4", 64, 512 + 64},
                 {"nf4:dq", 64, 512 + 64},
                 {"nvfp4_global", 128, 1024 + 64 + 128},
                 {"q8_k", 256, 4096 + 64}}) { // sums are left out
    KernelStorage k = storage(s.spec);
    EXPECT_EQ(k.columns(), s.columns) << s.spec;
    EXPECT_EQ(k.bytes(), s.bytes) << s.spec << "\n" << k.text();
  }
}

TEST(KernelStorage, SegmentsInReadingOrder) {
  KernelStorage k = storage("q6_k"); // planes of 4 and 2 bits: 16 columns fill two lines and one
  EXPECT_EQ(k.segments(), 16u);
  EXPECT_EQ(k.segmentColumns(), 16u);
  EXPECT_EQ(k.segmentBytes(), 3u * 64);
  EXPECT_EQ(k.headBytes(), 32u + 256);
  const StorageItem &q = *k.find("q");
  ASSERT_EQ(q.planes.size(), 2u);
  EXPECT_EQ(q.vectors(), 4u);
  EXPECT_EQ(k.locate(q, q.planes[0], 0).offset, 288u);
  EXPECT_EQ(k.locate(q, q.planes[0], 7).offset, 288u + 192 + 64); // second segment, second line, high nibble
  EXPECT_EQ(k.locate(q, q.planes[0], 7).shift, 4u);
  EXPECT_EQ(k.locate(q, q.planes[1], 7).offset, 288u + 192 + 128);
  EXPECT_EQ(k.locate(q, q.planes[1], 7).shift, 6u);
  EXPECT_EQ(k.find("nothing"), nullptr);
}

TEST(KernelStorage, SharesLinesInTheHead) {
  KernelStorage k = storage("q4_k");
  EXPECT_EQ(k.text(), R"(block: 16 rows x 256 columns in 2304 bytes, 4.5000 bits per weight
head: 256 bytes
     0   32  rows   16 x 16 bits: d
    32   32  rows   16 x 16 bits: dmin
    64   64  quads  bits 0..3: sc[0..3].0..3, bits 4..7: sc[4..7].0..3
   128   64  quads  bits 0..3: mn[0..3].0..3, bits 4..7: mn[4..7].0..3
   192   64  quads  bits 0..1: sc[0..3].4..5, bits 2..3: sc[4..7].4..5, bits 4..5: mn[0..3].4..5, bits 6..7: mn[4..7].4..5
32 segments of 8 columns in 64 bytes, each
     0   64  quads  bits 0..3: q[0..3], bits 4..7: q[4..7])");
}

/// Every plane of every cell of every row has bits of its own, and with padding they fill the block.
TEST(KernelStorage, BitsAreDisjoint) {
  for (const char *spec : {"q4_0", "q4_k", "q6_k", "iq1_m", "iq2_xs", "iq3_s", "iq4_xs", "tq1_0", "int:3:g64:asym",
                           "int:5:g96:asym", "int:1:g32:f32", "f16", "f32", "mxfp4", "mxfp8", "nf4:dq", "aqlm"})
    for (unsigned rows : {8u, 16u, 32u}) {
      auto derived = KernelStorage::derive(formatOf(spec), {.rows = rows});
      if (!derived)
        continue;
      const KernelStorage &k = *derived;
      std::set<unsigned> owned;
      size_t bits = 0;
      for (const StorageItem &item : k.items()) {
        unsigned width = 0;
        for (const StoragePlane &plane : item.planes) {
          EXPECT_EQ(plane.low, width) << spec;
          width += plane.width;
          for (unsigned row = 0; row < k.rows(); row++)
            for (unsigned cell = 0; cell < item.cells; cell++)
              for (unsigned b = 0; b < plane.width; b++)
                owned.insert(k.bitAddress(item, plane, row, cell) + b);
        }
        EXPECT_EQ(width, item.field->width) << spec;
        bits += size_t(width) * k.rows() * item.cells;
      }
      EXPECT_EQ(owned.size(), bits) << spec;
      EXPECT_EQ(*owned.rbegin() / 8 + 1, k.bytes()) << spec;
      EXPECT_LT(8 * k.bytes() - bits, 8u * 64) << spec << ": less than a line is unused";
    }
}

TEST(KernelStorage, EvaluatedFactorsAreFields) {
  KernelStorage k = storage("nf4:b128:dq");
  const StorageItem *f = k.find("f0");
  ASSERT_TRUE(f);
  EXPECT_TRUE(f->factor);
  EXPECT_EQ(f->run, 128u);
  EXPECT_EQ(f->field->width, 32u);
  EXPECT_EQ(k.items().size(), 2u);
  EXPECT_EQ(expressionText(*k.format()->value()), "code[q] * f0");
  EXPECT_EQ(Factoring(k.format()).text(), "+ f0⟨128⟩ · Σ float(code[q])·x");
  EXPECT_EQ(k.source()->field("a")->index, k.format()->field("a")->index);
  EXPECT_EQ(storage("q4_k").format(), storage("q4_k").source());
}

TEST(KernelStorage, Refusals) {
  EXPECT_EQ(
      refusal("exl3"),
      "exl3 has no kernel storage: rows share the array 's', and what is read of it differs from weight to weight");
  EXPECT_EQ(
      refusal("aqlm"),
      "aqlm has no kernel storage: rows share the array 'book', and what is read of it differs from weight to weight");
  EXPECT_EQ(refusal("int:4:g100"),
            "int:g100 has no kernel storage: no block of at most 256 columns holds whole groups of all its fields");
  EXPECT_EQ(refusal("int:4:g260"),
            "int:g260 has no kernel storage: a block of a multiple of 32 columns cuts groups of 260");
  EXPECT_THAT(KernelStorage::derive(formatOf("q4_0"), {.rows = 12}).error().message, HasSubstr("12 rows"));
  auto shape = storage("nf4").checkShape(3, 96);
  ASSERT_FALSE(shape);
  EXPECT_EQ(shape.error().message, "nf4 has no kernel storage for a weight of 3 x 96: 96 columns are no multiple of "
                                   "64, and 'absmax' goes on from row to row");
  EXPECT_TRUE(storage("nf4:b4096").checkShape(3, 128));
}

TEST(KernelStorage, PadsRowsAndColumns) {
  KernelStorage k = storage("int:4:g128");
  EXPECT_EQ(k.bytes(17, 129), 2 * 2 * int64_t(k.bytes()));
  EXPECT_EQ(k.bytes(16, 128), int64_t(k.bytes()));
}
