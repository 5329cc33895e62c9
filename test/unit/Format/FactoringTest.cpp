//===- FactoringTest.cpp ----------------------------------------------------------------------------------------===//
#include "quantc/Format/Factoring.h"
#include "TestFormats.h"
#include "quantc/Support/Files.h"
#include <gmock/gmock.h>
#include <random>
#include <regex>

using namespace quantc;
using namespace quantc::test;

namespace {
Factoring factoring(const std::string &spec) {
  return Factoring(formatOf(spec));
}

/// What golden/factoring.txt, the output of a Python implementation of the language, says of one spec.
struct Expected {
  std::string spec, value, dot;
};
std::vector<Expected> golden() {
  std::vector<Expected> all;
  std::istringstream text(*readText(QUANTC_SOURCE_DIR "/test/unit/Format/golden/factoring.txt"));
  const std::string value = "   value = ", dot = "   dot   = ", more = "           ";
  for (std::string line; std::getline(text, line);)
    if (line.starts_with(value))
      all.back().value = line.substr(value.size());
    else if (line.starts_with(dot))
      all.back().dot = line.substr(dot.size());
    else if (line.starts_with(more))
      all.back().dot += "\n" + line.substr(more.size());
    else // "spec: 4.5 bits per weight   words" or "spec   words"
      all.push_back({std::regex_replace(line, std::regex("(: [0-9.]+ bits per weight)?   .*"), ""), "", ""});
  return all;
}
} // namespace

TEST(Factoring, TextEqualsAnIndependentImplementation) {
  const auto all = golden();
  ASSERT_EQ(all.size(), 66u);
  for (const Expected &e : all) {
    auto f = formatOf(e.spec);
    EXPECT_EQ(expressionText(*f->value()), e.value) << e.spec;
    EXPECT_EQ(Factoring(f).text(), e.dot) << e.spec;
  }
}

TEST(Factoring, IntegerDots) {
  for (const char *spec : {"q4_0", "q8_0", "q2_k", "q6_k", "iq4_nl", "iq2_xs", "tq1_0", "mxfp4", "nvfp4_global",
                           "int:8:gK:asym", "mlx", "hqq"})
    EXPECT_TRUE(factoring(spec).isIntegerDot()) << spec;
  for (const char *spec : {"f16", "f32", "nf4", "fp8", "mxfp8", "exl3", "aqlm", "hqq:g8"})
    EXPECT_FALSE(factoring(spec).isIntegerDot()) << spec;
}

/// The normal form of a value of bytes `q` with scales `d`, `m` of 32.
static Factoring factoringOf(const std::string &value) {
  auto description = parseText("format a\nd, m : f16 per 32\nq : u8 per weight\nvalue = " + value +
                               "\nblock 32 : 36 bytes { d m q }\n");
  EXPECT_TRUE(description) << description.error().message;
  return Factoring(Format::create(*description).value());
}

TEST(Factoring, CodesThatFitBytes) {
  EXPECT_TRUE(factoringOf("d * q + m").isIntegerDot());
  EXPECT_TRUE(factoringOf("d * (q - 128) + m").isIntegerDot());
  EXPECT_FALSE(factoringOf("d * (128 - q) + m").isIntegerDot()); // 128 is no signed byte
  EXPECT_FALSE(factoringOf("d * (q - 129) + m").isIntegerDot());
  EXPECT_FALSE(factoringOf("d * (q + 1) + m").isIntegerDot());
}

// bf16 has 8 significant bits: all integers up to 256, not 257.
TEST(Factoring, CodesThatAreHalves) {
  for (const char *value : {"d * q + m", "d * (q + 1) + m", "d * (q - 256) + m"}) {
    EXPECT_TRUE(factoringOf(value).isHalfProduct()) << value;
    EXPECT_FALSE(factoringOf(value).isHalfDot()) << value;
  }
  for (const char *value : {"d * (q + 2) + m", "d * (q - 257) + m"})
    EXPECT_FALSE(factoringOf(value).isHalfProduct()) << value;
}

// By hand, from the descriptions: codes times the integers of their fine scopes.
TEST(Factoring, MultipliersOfGroups) {
  struct Case {
    const char *spec;
    int64_t run, low, high;
  };
  for (const auto &[spec, run, low, high] :
       {Case{"q2_k", 16, 0, 3 * 15}, Case{"q3_k", 16, -4 * 31, -4 * -32}, Case{"q4_k", 32, 0, 15 * 63},
        Case{"q5_k", 32, 0, 31 * 63}, Case{"q6_k", 16, -32 * 127, -32 * -128},
        Case{"iq4_xs", 32, -127 * 31, -127 * -32}}) {
    const DotTerm term = factoring(spec).withMultipliers(256, true).terms().front();
    ASSERT_EQ(term.multipliers.size(), 1u) << spec;
    EXPECT_EQ(term.multipliers.front().run, run) << spec;
    EXPECT_EQ(term.run(), 256) << spec;
    EXPECT_EQ(term.product.low, low) << spec;
    EXPECT_EQ(term.product.high, high) << spec;
  }
  // Floats, and integers that do not change within a group.
  for (const auto &[spec, group] :
       {std::pair{"q4_0", 32}, {"q8_0", 32}, {"int:4:g128:asym", 128}, {"nf4", 256}, {"q4_k", 32}}) {
    const Factoring plain = factoring(spec), multiplied = plain.withMultipliers(group, true);
    EXPECT_EQ(multiplied.text(), plain.text()) << spec;
    for (const DotTerm &term : multiplied.terms())
      EXPECT_TRUE(term.multipliers.empty()) << spec;
  }
}

// 127 · 255 · 255 · 256 is just below 2^31; scales of 9 bits are too large.
TEST(Factoring, MultipliersWhoseSumsAreTooLarge) {
  auto multipliersOf = [](int bits) {
    auto description = parseText(fmt::format("format a\nd : f32 per block\ns : u{} per 16\nq : u8 per weight\n"
                                             "value = d * s * q\nblock 256 : {} bytes {{ d s q }}\n",
                                             bits, 4 + 2 * bits + 256));
    EXPECT_TRUE(description) << description.error().message;
    return Factoring(Format::create(*description).value())
        .withMultipliers(256, true)
        .terms()
        .front()
        .multipliers.size();
  };
  EXPECT_EQ(multipliersOf(8), 1u);
  EXPECT_EQ(multipliersOf(9), 0u);
}

// All terms alike: with one that is multiplied by floats, or with sums of x that are, none has multipliers.
TEST(Factoring, MultipliersOfAllTerms) {
  auto multipliersOf = [](const std::string &value, bool narrow) {
    auto description =
        parseText("format a\nd : f32 per block\ns : u4 per 16\ne : f16 per 32\nq : u4 per weight\nr : u4 per "
                  "weight\nvalue = " +
                  value + "\nblock 256 : 284 bytes { d s e q r }\n");
    EXPECT_TRUE(description) << description.error().message;
    auto format = Format::create(*description);
    EXPECT_TRUE(format) << format.error().message;
    const Factoring multiplied = Factoring(*format).withMultipliers(256, narrow);
    size_t count = 0;
    for (const DotTerm &term : multiplied.terms())
      count += term.multipliers.size();
    return count;
  };
  EXPECT_EQ(multipliersOf("d * s * q + d * s * r + d * (e - e)", true), 2u);
  EXPECT_EQ(multipliersOf("d * s * q + e * r", true), 0u);
  EXPECT_EQ(multipliersOf("d * s * q + d * r + d * e", true), 1u);
  EXPECT_EQ(multipliersOf("d * s * q + d * r + d * e", false), 0u);
}

TEST(Factoring, SignsOfNestedDifferences) {
  auto signs = [](const std::string &value) {
    std::string all;
    const Factoring f = factoringOf(value);
    for (const DotTerm &term : f.terms())
      all += term.negative ? '-' : '+';
    return all;
  };
  EXPECT_EQ(signs("d * q - (m - d * q)"), "+-+");
  EXPECT_EQ(signs("d * q + (m - d * q)"), "++-");
  EXPECT_EQ(signs("d * q - (m * q - d)"), "+-+");
}

TEST(Factoring, CodesAsFunctionsOfAField) {
  auto codeOf = [](const std::string &spec) {
    Factoring f = factoring(spec);
    return f.fieldFunction(f.terms().front().code);
  };
  auto affine = codeOf("q6_k");
  ASSERT_TRUE(affine && affine->affine);
  EXPECT_EQ(affine->field->name, "q");
  EXPECT_EQ(affine->affine->scale, 1);
  EXPECT_EQ(affine->affine->offset, -32);
  EXPECT_EQ(affine->values.size(), 64u);

  auto sign = codeOf("q1_0");
  ASSERT_TRUE(sign && sign->affine);
  EXPECT_EQ(sign->affine->scale, 2);
  EXPECT_EQ(sign->affine->offset, -1);

  auto bytes = codeOf("q8_0"); // two's complement
  ASSERT_TRUE(bytes && bytes->affine);
  EXPECT_EQ(bytes->affine->scale, 1);
  EXPECT_EQ(bytes->affine->offset, 0);
  EXPECT_EQ(bytes->values[255], -1);

  auto table = codeOf("iq4_nl");
  ASSERT_TRUE(table);
  EXPECT_FALSE(table->affine);
  EXPECT_THAT(table->values,
              testing::ElementsAre(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113));

  auto halves = codeOf("nvfp4_global"); // E2M1 doubled
  ASSERT_TRUE(halves);
  EXPECT_THAT(halves->values, testing::ElementsAre(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12));

  EXPECT_FALSE(codeOf("iq2_xs")); // a grid and signs
  EXPECT_FALSE(codeOf("tq1_0"));  // an array
  EXPECT_FALSE(codeOf("nf4"));    // floats
}

TEST(Factoring, Runs) {
  auto f = formatOf("q4_k");
  const Expr &minus = *f->value(); // d * sc * q - dmin * mn
  EXPECT_EQ(constantRun(*f, f->value()), 1);
  EXPECT_EQ(constantRun(*f, minus.args[1]), 32);
  auto dq = factoring("nf4:b128:dq");
  EXPECT_EQ(dq.terms()[0].run(), 128);
  EXPECT_EQ(factoring("fp8:r1").terms()[0].run(), 0);

  // Scopes of which none divides the other: no sum may cross an end of either.
  const auto description = parseText("format a\nd : f16 per 48\ns : u4 per 32\nq : u4 per weight\nvalue = d * s * q\n");
  ASSERT_TRUE(description) << description.error().message;
  EXPECT_EQ(Factoring(Format::create(*description).value()).terms()[0].run(), 16);
}

namespace {
/// A factor as exact as f64 is, for each weight of a row.
std::vector<double> evaluate(const Format &f, const Factor &factor, const FieldValues &fields, int64_t N, int64_t K,
                             int64_t n) {
  auto program = Program::compile(f, factor.expr);
  std::vector<int64_t> integers(K);
  std::vector<float> floats(K);
  std::vector<double> values(K);
  if (program->type() == ValueType::Integer)
    program->integers(fields, N, K, n, 0, K, integers.data());
  else
    program->floats(fields, N, K, n, 0, K, floats.data());
  for (int64_t k = 0; k < K; k++)
    values[k] = std::ldexp(program->type() == ValueType::Integer ? double(integers[k]) : double(floats[k]),
                           int(factor.exponent));
  return values;
}
} // namespace

/// The sum of the terms is the value up to the rounding of f32, codes lie in their intervals, group factors are
/// constant on their runs.
TEST(Factoring, NormalFormEqualsValue) {
  std::mt19937_64 random(7);
  for (const Expected &e : golden()) {
    auto f = formatOf(e.spec);
    const int64_t N = f->block() ? f->block()->rows : 2,
                  K = std::max<int64_t>(f->block() ? f->block()->columns * 2 : 0, 512);
    FieldValues fields = zeroFields(*f, N, K);
    for (const Field &field : f->fields())
      for (uint64_t &cell : fields[field.index]) // floats near 1, so that nothing is infinite
        cell = field.kind == FieldKind::F16                                     ? 0x3800 + random() % 0x800
               : field.kind == FieldKind::BF16                                  ? 0x3f00 + random() % 0x100
               : field.kind == FieldKind::F32                                   ? 0x3f000000 + random() % 0x1000000
               : field.kind == FieldKind::E8M0                                  ? 120 + random() % 16
               : field.kind == FieldKind::E4M3 || field.kind == FieldKind::E5M2 ? random() % 0x60
               : field.width == 64 ? random()
                                   : random() & ((uint64_t(1) << field.width) - 1);
    if (e.spec == "mxfp4" || e.spec == "mxfp4_planar")
      for (uint64_t &cell : fields[0])
        cell = 100 + cell % 50;
    std::vector<float> values(N * K);
    ASSERT_TRUE(decode(*f, fields, N, K, values.data()));
    Factoring factoring(f);
    for (int64_t n = 0; n < N; n++) {
      std::vector<double> sum(K), size(K);
      for (const DotTerm &term : factoring.terms()) {
        std::vector<double> product(K, 1), code(K, 1);
        for (const Factor &factor : term.group) {
          const auto v = evaluate(*f, factor, fields, N, K, n);
          for (int64_t k = 0; k < K; k++) {
            EXPECT_TRUE(factor.run == 0 ? v[k] == v[0] : v[k] == v[k - k % factor.run]) << e.spec << " at " << k;
            product[k] *= v[k];
          }
        }
        for (const Factor &factor : term.code) {
          const auto v = evaluate(*f, factor, fields, N, K, n);
          for (int64_t k = 0; k < K; k++)
            code[k] *= v[k];
        }
        for (int64_t k = 0; k < K; k++) {
          if (term.kind == CodeKind::Integer) {
            EXPECT_TRUE(code[k] >= term.range.low && code[k] <= term.range.high && code[k] == std::rint(code[k]))
                << e.spec << " at " << k;
          }
          sum[k] += (term.negative ? -1 : 1) * product[k] * code[k];
          size[k] += std::abs(product[k] * code[k]);
        }
      }
      for (int64_t k = 0; k < K; k++)
        ASSERT_NEAR(sum[k], values[n * K + k], size[k] * 4e-7) << e.spec << " at " << n << ", " << k;
    }
  }
}
