//===- PtxEntriesTest.cpp - the kernels of a PTX text -------------------------------------------------------------===//

#include "CUDA/PtxEntries.h"
#include <gmock/gmock.h>

using namespace quantc;
using testing::HasSubstr;

namespace {

// As LLVM and as nvcc write it.
const std::string text = R"(//
.version 8.0
.target sm_80
.address_size 64

	// .globl	one                      // -- Begin function one
.visible .entry one(
	.param .u64 .ptr .global .align 16 one_param_0,
	.param .u64 one_param_1
)
.maxntid 64
{
	ret;
}
.entry none ()
{
	ret;
}
.visible .entry two(.param .b64 a, .param .s64 b,
  .param .u64 c) { ret; }
)";

std::string refusal(std::string from, const std::string &to) {
  std::string changed = text;
  changed.replace(changed.find(from), from.size(), to);
  const auto entries = cuda::ptxEntries(changed);
  return entries ? "" : entries.error().message;
}

TEST(PtxEntries, CountsParameters) {
  const auto entries = cuda::ptxEntries(text);
  ASSERT_TRUE(entries) << entries.error().message;
  EXPECT_THAT(*entries,
              testing::ElementsAre(testing::Pair("none", 0u), testing::Pair("one", 2u), testing::Pair("two", 3u)));
}

TEST(PtxEntries, RefusesDamagedText) {
  EXPECT_THAT(refusal(".version", ".vrsion"), HasSubstr("is no text in PTX"));
  EXPECT_THAT(refusal("sm_80", std::string(5, '\0')), HasSubstr("is no text in PTX"));
  EXPECT_THAT(refusal(".entry two", ".entry one"), HasSubstr("two kernels \"one\""));
  EXPECT_THAT(refusal(".b64", ".b32"), HasSubstr("kernel \"two\" has the parameter \".param\" \".b32\""));
  EXPECT_THAT(refusal(".param .s64", ".reg .s64"), HasSubstr("the parameter \".reg\""));
  EXPECT_THAT(refusal("c) {", "c {"), HasSubstr("kernel \"two\" has no end"));
  EXPECT_THAT(refusal(".param .b64 a, ", ".param .b64 a,, "), HasSubstr("not one of 8 bytes"));
  EXPECT_THAT(refusal("two(", "{"), HasSubstr("without name or parameters"));
}

// Whatever is cut off, the answer is a table or one line.
TEST(PtxEntries, AnyPartIsReadOrRefused) {
  for (size_t size = 0; size <= text.size(); size++) {
    const auto entries = cuda::ptxEntries(std::string_view(text).substr(0, size));
    if (!entries)
      EXPECT_EQ(entries.error().message.find('\n'), std::string::npos);
  }
}

} // namespace
