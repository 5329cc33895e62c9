//===- ErrorsTest.cpp - broken descriptions: the place and the message ------------------------------------------===//

#include "TestFormats.h"
#include <algorithm>
#include <gmock/gmock.h>

using namespace quantc;
using namespace quantc::test;

namespace {

std::string errorOf(const std::string &text) {
  auto parsed = parseText(text);
  if (!parsed)
    return parsed.error().message;
  auto format = Format::create(*parsed);
  return format ? "no error" : format.error().message;
}

struct Broken {
  const char *text, *error;
};

class BrokenDescription : public ::testing::TestWithParam<Broken> {};

TEST_P(BrokenDescription, IsRefused) {
  EXPECT_EQ(errorOf(GetParam().text), std::string("text.qf:") + GetParam().error) << GetParam().text;
}

INSTANTIATE_TEST_SUITE_P(
    Syntax, BrokenDescription,
    ::testing::ValuesIn(std::vector<Broken>{
        {"forma x\n", "1:1: expected 'format' or 'container', found 'forma'"},
        {"", "1:1: expected 'format' or 'container', found 'end of file'"},
        {"format a\nq : u4 per weight\nvalue = $\n", "3:9: unexpected character '$'"},
        {"format a\nq : u4 per weight\nvalue = 0.5 * (q - 8\n", "4:1: expected ')', found 'end of file'"},
        {"format a\nq : u4 per weight\nvalue = 0.5 * q q\n", "3:17: expected end of line, found 'q'"},
        {"format a\nq : u4 per weight\nvalue = 0.5 *\n", "3:14: expected an expression, found 'end of line'"},
        {"format a \"open\nq : u4 per weight\n", "1:10: unexpected character '\"'"},
        {"format a \"\x8d\"\nq : u4 per weight\nvalue = q\n", "1:10: a text that is not UTF-8"},
        {"format a\nq u4 per weight\n", "2:3: expected ':' or '=', found 'u4'"},
        {"format a\nq : u4 weight\n", "2:8: expected 'per', found 'weight'"},
        {"format a\nq : u4 per weight\nvalue = 0.5 * q < 3 < 4\n", "3:21: comparisons do not chain"},
        {"format a\nvalue = 99999999999999999999\n", "2:9: '99999999999999999999' is too large for an integer"},
        {"format a\nvalue = 1e99\n", "2:9: '1e99' is too large for f32"},
        {"format a\ntensor \"w\" : u8 [n:N] { q[n] }\n", "2:8: expected ':' or '=', found 'w'"},
        {"format a\nblock 32 : 4 bytes { for { q } }\n", "2:26: expected a loop variable, found '{'"},
        {"container a\nconfig \"x\" = 1, 2\n", "2:8: several values are a list: [a, b]"},
        {"container a\nconfig \"x.\" = 1\n", "2:8: the key 'x.' has an empty part"},
        {"container a\ncarries int:\n", "2:13: expected a name, found 'end of line'"},
        {"container a\nconfig \"\" = 1\n", "2:8: the key '' has an empty part"},
        {"container a\nconfig \"x..y\" = 1\n", "2:8: the key 'x..y' has an empty part"},
        {"container a\njson \".w\" { \"x\" 1 }\n", "2:17: expected '=', found '1'"},
        {"format a\nblock 32 : 4 bytes { q\n", "3:1: expected a field, 'for', 'pad' or '}', found 'end of file'"},
    }));

INSTANTIATE_TEST_SUITE_P(
    Names, BrokenDescription,
    ::testing::ValuesIn(std::vector<Broken>{
        {"format a\nq : u4 per weight\n", "1:1: format 'a' has no 'value'"},
        {"format a\nq : u4 per weight\nvalue = 0.5 * p\n", "3:15: unknown name 'p'"},
        {"format a\nq : i4 per weight\nvalue = 0.5 * q\n", "2:5: unknown type 'i4'"},
        {"format a\nq : u99 per weight\nvalue = 0.5 * q\n", "2:5: width 99 is not in 1..64"},
        {"format a\nq, q : u4 per weight\nvalue = 0.5 * q\n", "2:4: 'q' is already declared on line 2"},
        {"format a\nq : u4 per weight\nd : f16 per 32\nvalue = 0.5 * q\n",
         "3:1: field 'd' is never used (mark it 'extra' if kernels want it)"},
        {"format a\nq : u4 per weight\ny = q + 1\nvalue = 0.5 * q\n", "3:7: 'y' is never used"},
        {"format a\nq : u4 per weight\nvalue = 0.5 * cosine(q)\n", "3:15: unknown function 'cosine'"},
        {"format a\nq : u4 per weight\nvalue = 0.5 * min(q)\n", "3:15: 'min' takes 2 argument(s)"},
        {"format a\nparam bits = 5 in 2, 4\nq : u(bits) per weight\nvalue = 0.5 * q\n",
         "2:14: default 5 of 'bits' is not among its choices"},
        {"format a\nflag dq\ns : f32 per 64 if dq\nq : u4 per weight\nvalue = s * q\n",
         "5:9: field 's' does not exist with these parameters"},
        {"format a\ntable t[256, 8] from \"none.grid\"\nq : u8 per 8\nvalue = 0.5 * t[q][k % 8]\n",
         "2:1: table file \"none.grid\" not found"},
        {"format a\nd, k : f16 per 32\nvalue = d * k\n", "2:4: 'k' is a name of the language"},
        {"format a\ntable t = 1 2\nq : u4 per weight\nvalue = 0.5 * sum(t:2, q)\n",
         "4:15: the variable 't' has another meaning"},
        {"format a\na = b\nb = a\nq : u4 per weight\nvalue = 0.5 * a\n",
         "2:5: definitions are nested too deeply, or use themselves"},
    }));

INSTANTIATE_TEST_SUITE_P(
    Types, BrokenDescription,
    ::testing::ValuesIn(std::vector<Broken>{
        {"format a\nq : u4 per weight\nvalue = q - 8\n",
         "3:11: value is an integer; multiply it by a scale or write it as f32"},
        {"format a\nd : f16 per 32\nq : u4 per weight\nvalue = d * (q & d)\n", "4:16: '&' takes integers"},
        {"format a\nd : f16 per 32\nq : u4 per weight\nvalue = d ? 0.5 : q * 0.5\n", "4:11: a condition is an integer"},
        {"format a\nd : f16 per 32\nvalue = d * parity(d)\n", "3:13: 'parity' takes an integer"},
        {"format a\nq : u32 per weight\nvalue = 0.5 * q\n", "3:15: this integer can exceed 2^24: not exact as f32"},
        {"format a\nq : u4 per weight\nvalue = 0.5 * (k / q)\n", "3:20: this divisor can be 0"},
    }));

INSTANTIATE_TEST_SUITE_P(
    Ranges, BrokenDescription,
    ::testing::ValuesIn(std::vector<Broken>{
        {"format a\ntable t = 1 2 3\nq : u2 per weight\nvalue = 0.5 * t[q]\n",
         "4:17: index of 't' can be 0..3, the table has 0..2"},
        {"format a\ntable t = 1 2 3 4\nq : u2 per weight\nvalue = 0.5 * t\n", "4:15: 't' takes 1 indices, not 0"},
        {"format a\ntable t = 1 2 3 4\nd : f16 per 32\nvalue = 0.5 * t[d]\n", "4:17: index of 't' is not an integer"},
        {"format a\nq : u4 [3] per 4\nvalue = 0.5 * q[k % 4]\n", "3:19: index of 'q' can be 0..3, the table has 0..2"},
        {"format a\nq : u4 per 4 by 0\nvalue = 0.5 * q\nblock 0 : 4 bytes { q }\n",
         "4:1: a block of 1 x 0 weights in 4 bytes: it has 1..65536 weights in 1..65536 bytes"},
        {"format a\ntable t = 1 2 3 4\nq : u4 per weight\nvalue = 0.5 * t[k] * q\nblock 4 : 2 bytes { q }\n",
         "4:17: index of 't' can be 0..2147483648, the table has 0..3"},
        {"format a\ntable t = 1 2 3\nq : u4 per weight\nvalue = 0.5 * t[i] * q\nblock 4 : 2 bytes { q }\n",
         "4:17: index of 't' can be 0..3, the table has 0..2"},
        {"format a\ntable t = 1 2\nq : u64 per weight\nvalue = 0.5 * t[min(q, 1)]\n",
         "4:17: index of 't' can be -inf..1, the table has 0..1"},
        {"format a\ntable t = 1 2\nq : u62 per weight\nvalue = 0.5 * t[min(q + q + q + q, 1)]\n",
         "4:17: index of 't' can be -inf..1, the table has 0..1"},
        {"format a\nq : u32 per weight\nvalue = q ? q : 0.5\n", "3:13: this integer can exceed 2^24: not exact as f32"},
        {"format a\nq : u32 per weight\nvalue = round_f16(q)\n",
         "3:19: this integer can exceed 2^24: not exact as f32"},
        {"format a\nq : u4 per weight\nvalue = 0.5 * ceildiv(3, q)\n", "3:26: this divisor can be 0"},
    }));

INSTANTIATE_TEST_SUITE_P(
    Layouts, BrokenDescription,
    ::testing::ValuesIn(std::vector<Broken>{
        {"format a\nq : u4 per block\nvalue = 0.5 * q\n", "2:12: 'per block' in a format without a block"},
        {"format a\nd : f16 per 48\nq : u4 per weight\nvalue = d * q\nblock 256 : 130 bytes { d q }\n",
         "2:13: a block of 256 weights is not a whole number of 48"},
        {"format a\nd : f16 per block\nq : u4 per weight\nvalue = d * q\nblock 32 : 17 bytes { d q }\n",
         "5:12: the layout has 144 bits, 17 bytes are 136"},
        {"format a\nd : f16 per block\nq : u4 per weight\nvalue = d * q\nblock 32 : 18 bytes {\n  d\n  for l:32 { "
         "q[l/2] }\n}\n",
         "7:14: bit 0 of 'q[0]' is stored a second time"},
        {"format a\nd : f16 per block\nq : u4 per weight\nvalue = d * q\nblock 32 : 10 bytes {\n  d\n  for l:16 { q[l] "
         "}\n}\n",
         "3:1: bit 0 of 'q[16]' is stored nowhere"},
        {"format a\nd : f16 per block\nq : u4 per weight\nvalue = d * q\nblock 32 : 18 bytes {\n  d\n  for l:16 n:2 { "
         "q[17*n + l] }\n}\n",
         "7:18: 'q' has cells 0..31, index 32 is outside"},
        {"format a\nd : f16 per block\nq : u4 per weight\nvalue = d * q\nblock 32 : 18 bytes {\n  d\n  for l:32 { "
         "q[l].1..4 }\n}\n",
         "7:14: bits 1..4 of 'q', which has 4"},
        {"format a\nd : f16 per block\nq : u4 per weight\nvalue = d * q\nblock 32 : 18 bytes {\n  d r\n  for l:32 { "
         "q[l] }\n}\n",
         "6:5: unknown field 'r'"},
        {"format a\nd : f16 per tensor\nq : u4 per weight\nvalue = d * q\nblock 32 : 18 bytes { d q }\n",
         "5:23: 'd' has a scope beyond the block: it belongs to a container"},
        {"format a\nd : f16 per block\nq : u4 per weight\nvalue = d * q\nblock 32 : 18 bytes {\n  d\n  for l:32 { "
         "q[l].0..3 ^ 8 }\n}\n",
         "7:14: a part of a field is stored as it is"},
        {"format a\nq : u4 per weight\nvalue = 0.5 * q\nblock 32 : 16 bytes { q.0..1 q.2..3 }\n",
         "4:23: 'q' has 32 cells: give an index with the bits"},
        {"format a\nq : u4 per weight\nvalue = 0.5 * q\nblock 32 : 16 bytes { for l:32 { q[l].0..(l % 4) } }\n",
         "4:34: the number of bits changes from pass to pass"},
        {"format a\nq : u4 per weight\nvalue = 0.5 * q\nblock 32 : 16 bytes { for l:0 { q[l] } }\n",
         "4:29: loop 'l' has 0 passes"},
        {"format a\nq : u4 per weight\nvalue = 0.5 * q\nblock 32 : 16 bytes { q }\nblock 32 : 16 bytes { q }\n",
         "5:1: a format has one 'block'"},
        {"format a\nq : u4 per weight\nvalue = 0.5 * q\nblock 32 : 16 bytes { for l:32 { q[l, 0] } }\n",
         "4:34: 'q' takes 1 indices here, not 2"},
        {"format a\nq : u4 per weight\nvalue = 0.5 * q\nblock 32 : 20 bytes { q (17) }\n",
         "4:25: a constant belongs into a container"},
    }));

INSTANTIATE_TEST_SUITE_P(
    Encode, BrokenDescription,
    ::testing::ValuesIn(std::vector<Broken>{
        {"format a\nd : f16 per 32\nq : u4 per weight\nvalue = d * q\nencode {\n  d = hill_climb(x)\n  q = "
         "nearest(x)\n}\n",
         "6:7: unknown search 'hill_climb'"},
        {"format a\nd : f16 per 32\nq : u4 per weight\nvalue = d * q\nencode {\n  d = absmax(x) / 7\n}\n",
         "5:1: encode does not set field 'q'"},
        {"format a\nd : f16 per 32\nq : u4 per weight\nvalue = d * q\nencode {\n  d, q = qx(x, w = x*x, level = "
         "8)\n}\n",
         "6:33: 'qx' has no constant 'level'"},
        {"format a\nd : f16 per 32\nq : u4 per weight\nvalue = d * q\nencode {\n  d = absmax(y)\n  q = nearest(x)\n}\n",
         "6:14: unknown name 'y'"},
        {"format a\nd : f16 per 32\nq : u4 per weight\nvalue = d * q\nencode {\n  d, q = absmax(x)\n}\n",
         "6:3: 'absmax' gives 1 results, not 2"},
        {"format a\nd : f16 per 32\nq : u4 per weight\nvalue = d * q\nencode {\n  m = absmax(x)\n  d = m\n  q = "
         "nearest(x)\n}\n",
         "6:3: 'm' is no field: give its scope with 'per'"},
        {"format a\nd : f16 per 32\nq : u4 per weight\nvalue = d * q\nencode {\n  d = absmax(x)\n  q = nearest(x, ties "
         "= odd)\n}\n",
         "7:25: 'ties' is one of first low even sign"},
    }));

std::string bindingError(const std::string &container, const std::string &spec, int64_t N, int64_t K) {
  auto parsed = container.starts_with("container") ? parseText(container, "c.qc") : catalog().container(container);
  if (!parsed)
    return parsed.error().message;
  auto binding = Binding::create(*parsed, formatOf(spec), N, K);
  return binding ? "no error" : binding.error().message;
}

TEST(BrokenContainer, IsRefused) {
  EXPECT_EQ(bindingError("awq", "int:3", 256, 256), "awq.qc:4:1: AWQ files hold 4 bits");
  EXPECT_EQ(bindingError("awq", "q4_0", 256, 256), "awq.qc:1:1: container 'awq' does not carry 'q4_0'");
  const std::string head = "container c\ncarries int\n";
  EXPECT_EQ(bindingError(head + "tensor \"w\" : i32 [n:N, *] { for k:K { q[n, k].0..2 } }\ntensor \"s\" : f16 [n:N, "
                                "g:K/group] { s[n, g] }\n",
                         "int:4", 8, 128),
            "c.qc:1:1: bit 3 of 'q[0]' is stored nowhere");
  EXPECT_EQ(bindingError(head + "tensor \"w\" : i32 [n:N, k:K] { q[n, k] }\n", "int:4", 8, 128),
            "c.qc:3:1: 'w' gets 4 bits for each i32");
  EXPECT_EQ(bindingError(head + "tensor \"w\" : i31 [n:N, *] { q[n, 0] }\n", "int:4", 8, 128),
            "c.qc:3:1: unknown type 'i31'");
  EXPECT_EQ(bindingError(head + "tensor \"w\" : i32 [*, *] { q }\n", "int:4", 8, 128),
            "c.qc:3:1: a tensor has one '*'");
  EXPECT_EQ(bindingError(head + "tensor \"w\" : i32 [n:N, *] { for k:K { q[k, n] } }\n", "int:4", 8, 128),
            "c.qc:3:39: 'q' has cells 0..7, index 8 is outside");
  EXPECT_EQ(bindingError(head + "tensor \"w\" : i32 [n:N] order { (n) }\n", "int:4", 8, 128),
            "c.qc:3:1: a tensor marked 'order' has a constant for each column");
  const std::string blocks = "container c\ncarries q4_0\ntensor \"w\" : u8 ";
  EXPECT_EQ(bindingError(blocks + "[n:N, b:K/64, *] { block[n, b] }\n", "q4_0", 2, 128),
            "c.qc:1:1: block 2 is stored nowhere");
  EXPECT_EQ(bindingError(blocks + "[n:N, b:K/32, *] { block[n, b / 2] }\n", "q4_0", 2, 128),
            "c.qc:3:36: block 0 is stored a second time");
  EXPECT_EQ(bindingError("q4_0x8", "q4_0", 8, 33), "q4_0 cannot hold a weight of 8 x 33: its blocks are 1 x 32");
}

TEST(BrokenContainer, ConstantsOfAFileAreCompared) {
  auto binding = bindingOf("gptq", "int:4:g128", 8, 256);
  ASSERT_TRUE(binding);
  auto data = binding->store(randomFields(*formatOf("int:4:g128"), 8, 256, 1));
  ASSERT_EQ(binding->tensors()[3].suffix, ".g_idx");
  std::ranges::reverse(data[3]);
  auto fields = binding->read(views(data));
  ASSERT_FALSE(fields);
  EXPECT_EQ(
      fields.error().message,
      "'.g_idx': gptq.qc:19:56: the tensor does not hold the constant expected here, which is 0: it has 16777216");
  data[0].pop_back();
  EXPECT_THAT(binding->read(views(data)).error().message,
              ::testing::HasSubstr("'.qweight' has 1023 bytes, expected 1024"));
  data.pop_back();
  EXPECT_THAT(binding->read(views(data)).error().message,
              ::testing::HasSubstr("has 4 tensors for this weight, 3 were given"));
}

TEST(BrokenSpec, IsRefused) {
  auto errorOf = [](const std::string &spec) { return catalog().format(spec).error().message; };
  EXPECT_EQ(errorOf("int:9"), "int.qf:1:1: '9' is no parameter of 'int' (it has …, g…, …, asym)");
  EXPECT_EQ(errorOf("int:4:4"), "int.qf:1:1: '4' is no parameter of 'int' (it has …, g…, …, asym)");
  EXPECT_EQ(errorOf("q4_k:3"), "q4_k.qf:1:1: '3' is no parameter of 'q4_k' (it has none)");
  EXPECT_THAT(errorOf("nonsense"), ::testing::StartsWith("there is no format 'nonsense'; known: a16 a16s a8 aqlm"));
  EXPECT_THAT(errorOf("../int"), ::testing::StartsWith("there is no format '../int'"));
  EXPECT_THAT(errorOf(""), ::testing::StartsWith("there is no format ''"));
  EXPECT_THAT(catalog().container("gguf2").error().message,
              ::testing::StartsWith("there is no container 'gguf2'; known: awq"));
}

//===--- Hostile descriptions: an error, soon -------------------------------------------------------------------===//

std::string repeated(std::string_view text, int count) {
  std::string all;
  for (int i = 0; i < count; i++)
    all += text;
  return all;
}

TEST(HostileDescription, IsRefusedSoon) {
  const std::string head = "format a\nq : u4 per weight\nvalue = ";
  EXPECT_THAT(errorOf(head + repeated("(", 100000)), ::testing::HasSubstr("nested more than"));
  EXPECT_THAT(errorOf(head + repeated("-", 100000) + "q"), ::testing::HasSubstr("nested more than"));
  EXPECT_THAT(errorOf(head + "q" + repeated(" + q", 200000)), ::testing::HasSubstr("operators"));
  EXPECT_THAT(errorOf(head + repeated("q ? q : ", 100000)), ::testing::HasSubstr("nested more than"));
  EXPECT_THAT(errorOf("format a\nblock 32 : 4 bytes " + repeated("{ for i:2 ", 100000)),
              ::testing::HasSubstr("nested more than"));
  EXPECT_THAT(errorOf(std::string(2 << 20, ' ')), ::testing::HasSubstr("a description has at most 1048576"));
  std::string doubling = "format a\nq : u4 per weight\nx0 = q\n";
  for (int i = 1; i < 60; i++)
    doubling += fmt::format("x{} = x{} + x{}\n", i, i - 1, i - 1);
  EXPECT_THAT(errorOf(doubling + "value = 0.5 * (x59 & 1)\n"),
              ::testing::HasSubstr("parts once definitions are put in"));
  EXPECT_THAT(errorOf(head + "sum(a:4096, sum(b:4096, sum(c:4096, 0.5 * q)))\n"),
              ::testing::HasSubstr("too long once its sums are written out"));
  EXPECT_THAT(errorOf(head + "sum(a:1 << 40, 0.5 * q)\n"), ::testing::HasSubstr("is not in 1..4096"));
  const std::string layout = "format a\nq : u4 per weight\nvalue = 0.5 * q\nblock 32 : 16 bytes { ";
  EXPECT_THAT(errorOf(layout + "for i:1 << 30 j:1 << 30 { q[0] } }\n"), ::testing::HasSubstr("too many passes"));
  EXPECT_THAT(errorOf(layout + "for i:1 << 30 { pad 1 } q }\n"), ::testing::HasSubstr("the layout has"));
  EXPECT_THAT(errorOf(layout + "for i:1 << 20 { for j:1 << 20 { for l:1 << 20 { q[0] } } } }\n"),
              ::testing::HasSubstr("text.qf:4:"));
  EXPECT_THAT(errorOf("format a\nq : u4 [1 << 20, 1 << 20] per weight\nvalue = 0.5 * q[0][0]\n"),
              ::testing::HasSubstr("an array has 1.."));
  EXPECT_THAT(
      errorOf("format a\nq : u1 [1 << 24] per weight\nvalue = 0.5 * q[0]\nblock 4096 : 64 bytes { q[0] pad 511 }\n"),
      ::testing::HasSubstr("'q' has 68719476736 cells, the layout has 512 bits"));
  EXPECT_THAT(errorOf("format a\nq : u4 per weight\nvalue = 0.5 * q\nblock 32 : 16 bytes { for l:32 { q[" +
                      repeated("1 | 2 ^ 3 & 4 << 5 + 6 * (", 12) + "l" + repeated(")", 12) + "] } }\n"),
              ::testing::HasSubstr("the index is nested too deeply"));
  EXPECT_THAT(errorOf("format a\nq : u(1/0) per weight\nvalue = 0.5 * q\n"),
              ::testing::HasSubstr("this divisor can be 0"));
}

TEST(Bounds, LargestBlock) {
  auto create = [](int bytes) {
    return Format::create(*parseText(
        fmt::format("format a\nq : f32 per weight\nvalue = q\nblock {} : {} bytes {{ q }}\n", bytes / 4, bytes)));
  };
  EXPECT_TRUE(create(65536));
  EXPECT_FALSE(create(65540));
}

} // namespace
