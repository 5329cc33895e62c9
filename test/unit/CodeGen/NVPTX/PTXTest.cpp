//===- PTXTest.cpp - PTX, its assembler, and what GPUs lack -------------------------------------------------------===//

#include "AttentionCase.h"
#include "GPULinear.h"
#include "mlir/Parser/Parser.h"
#include "quantc/CodeGen/NVPTX/Ptxas.h"
#include "quantc/CodeGen/TargetAttributes.h"
#include "quantc/Pipelines/NVPTX.h"
#include <fmt/ranges.h>
#include <fstream>
#include <gmock/gmock.h>
#include <regex>

using namespace quantc;
using namespace quantc::test;
using testing::HasSubstr;

namespace {

mlir::MLIRContext &context() {
  static std::unique_ptr<mlir::MLIRContext> shared = createContext();
  return *shared;
}

Result<std::string> ptxOf(const GPULinearCase &linear) {
  auto module = mlir::parseSourceString<mlir::ModuleOp>(gpuLinearText(context(), linear), &context());
  NVPTXOptions options;
  options.target = linear.target;
  options.from = GPULevel::Linalg;
  QUANTC_TRY(lowerGPUKernels(*module, options));
  return emitPTX(*module);
}

/// Bytes spilled, warnings of serialized instructions, registers, as `ptxas -v` says.
int numberBefore(const std::string &report, const char *what) {
  std::smatch match;
  return std::regex_search(report, match, std::regex(std::string("(\\d+) ") + what)) ? std::stoi(match[1]) : -1;
}

class PtxasTest : public testing::TestWithParam<const char *> {
protected:
  void SetUp() override {
    ptxas = findPtxas();
    if (!ptxas)
      GTEST_SKIP() << "there is no ptxas: PTX is not assembled";
  }
  std::optional<std::filesystem::path> ptxas;
};

// A spill in the loop would cost more than anything else.
TEST_P(PtxasTest, NoSpills) {
  const std::vector<GPUTarget> targets = GPUTarget::all(QUANTC_SOURCE_DIR).value();
  for (const GPUTarget &target : targets)
    for (auto [tokens, K] : {std::pair(std::optional<int64_t>(1), 4096), {1, 11008}, {std::nullopt, 4096}}) {
      SCOPED_TRACE(fmt::format("{} {}, {} columns", target.name, tokens ? "stream" : "tiled", K));
      auto ptx = ptxOf({.spec = GetParam(),
                        .N = 4096,
                        .K = K,
                        .tokens = tokens,
                        .result = "f16",
                        .epilogue = true,
                        .target = target.name});
      ASSERT_TRUE(ptx) << ptx.error().message;
      auto assembled = assemblePTX(*ptxas, *ptx, target.chip);
      ASSERT_TRUE(assembled) << assembled.error().message;
      EXPECT_EQ(numberBefore(assembled->report, "bytes spill stores"), 0) << assembled->report;
      EXPECT_EQ(assembled->report.find("C75"), std::string::npos) << assembled->report;
      const int registers = numberBefore(assembled->report, "registers");
      EXPECT_GT(registers, 0);
      RecordProperty(fmt::format("{}_{}_{}", target.name, tokens ? "stream" : "tiled", K), registers);
      std::cout << fmt::format("registers: {} {} {} {} {}\n", GetParam(), tokens ? "stream" : "tiled", K, target.name,
                               registers);
    }
}

INSTANTIATE_TEST_SUITE_P(Formats, PtxasTest,
                         testing::Values("int:4:g128", "int:4:g128:asym", "q4_k", "q6_k", "nf4", "f16"),
                         [](const auto &info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), ':', '_');
                           return name;
                         });

// Kernels of attention in the shapes of Llama-2-7B, Llama-3-8B and Llama-2-70B; caches of f16 and of 8 and 4 bits.
TEST(PtxasAttentionTest, NoSpills) {
  const auto ptxas = findPtxas();
  if (!ptxas)
    GTEST_SKIP() << "there is no ptxas: PTX is not assembled";
  for (const char *target : {"sm_80", "sm_90a"})
    for (const char *element : {"f16", "!qf.elem<q8_0>", "!qf.elem<q4_0>"})
      for (const Shape &shape : {Shape{32, 32, 128, 128}, Shape{32, 8, 128, 128}, Shape{64, 8, 128, 128}}) {
        SCOPED_TRACE(fmt::format("{}, {}, {} of {} heads", target, element, shape.keyHeads, shape.heads));
        auto module = mlir::parseSourceString<mlir::ModuleOp>(kernelText(shape, element), &context());
        NVPTXOptions options;
        options.target = target;
        ASSERT_TRUE(lowerGPUKernels(*module, options));
        auto assembled =
            assemblePTX(*ptxas, emitPTX(*module).value(), GPUTarget::find(target, QUANTC_SOURCE_DIR)->chip);
        ASSERT_TRUE(assembled) << assembled.error().message;
        const std::string &report = assembled->report;
        const std::regex spills("[1-9][0-9]* bytes spill"), registers("Used ([0-9]+) registers");
        EXPECT_FALSE(std::regex_search(report, spills)) << report;
        std::vector<std::string> used;
        for (std::sregex_iterator it(report.begin(), report.end(), registers), end; it != end; ++it)
          used.push_back((*it)[1]);
        std::cout << fmt::format("registers: attention {} {} {}/{}: {}\n", target, element, shape.heads, shape.keyHeads,
                                 fmt::join(used, " "));
      }
}

TEST(PtxasErrorTest, ComplaintsAreErrors) {
  const auto ptxas = findPtxas();
  if (!ptxas)
    GTEST_SKIP() << "there is no ptxas: PTX is not assembled";
  auto assembled = assemblePTX(*ptxas, "this is no PTX", "sm_80");
  ASSERT_FALSE(assembled);
  EXPECT_THAT(assembled.error().message, HasSubstr("for sm_80:"));
}

/// A kernel that calls one intrinsic, emitted for a target.
Result<std::string> emitCall(const std::string &intrinsic, const std::string &target) {
  auto module = mlir::parseSourceString<mlir::ModuleOp>(
      fmt::format("gpu.module @kernels {{ llvm.func @k(%a: f32, %b: f32, %p: !llvm.ptr) attributes {{gpu.kernel, "
                  "nvvm.kernel}} {{\n"
                  "  %r = llvm.call_intrinsic \"{}\"(%a, %b) : (f32, f32) -> i16\n"
                  "  llvm.store %r, %p : i16, !llvm.ptr\n  llvm.return }} }}",
                  intrinsic),
      &context());
  if (!module)
    return fail("does not parse");
  attach(GPUTarget::find(target, QUANTC_SOURCE_DIR).value(), *module);
  return emitPTX(*module);
}

// LLVM would abort.
TEST(CapabilitiesTest, WhatAGPULacksIsAnError) {
  auto unknown = emitCall("llvm.nvvm.ff.to.e2m1x2.rn.satfinite", "sm_80");
  ASSERT_FALSE(unknown);
  EXPECT_THAT(
      unknown.error().message,
      HasSubstr("target sm_80: it is not known which GPUs have 'llvm.nvvm.ff.to.e2m1x2.rn.satfinite'; add it to "));
}

// A store between two loads may have changed what they read: LLVM must not believe that shared memory is empty.
TEST(SharedMemoryTest, IsReadAgainBehindAStore) {
  auto module = mlir::parseSourceString<mlir::ModuleOp>(R"mlir(
    gpu.module @kernels {
      gpu.func @k(%p: index, %q: index, %v: f32, %out: memref<1xf32>) kernel {
        %zero = arith.constant 0 : index
        %all = gpu.dynamic_shared_memory : memref<?xi8, #gpu.address_space<workgroup>>
        %x = memref.view %all[%zero][] : memref<?xi8, #gpu.address_space<workgroup>>
               to memref<64xf32, #gpu.address_space<workgroup>>
        %before = memref.load %x[%q] : memref<64xf32, #gpu.address_space<workgroup>>
        memref.store %v, %x[%p] : memref<64xf32, #gpu.address_space<workgroup>>
        %behind = memref.load %x[%q] : memref<64xf32, #gpu.address_space<workgroup>>
        %sum = arith.addf %before, %behind : f32
        memref.store %sum, %out[%zero] : memref<1xf32>
        gpu.return
      }
    })mlir",
                                                        &context());
  ASSERT_TRUE(module);
  NVPTXOptions options;
  options.target = "sm_80";
  options.from = GPULevel::Lanes;
  ASSERT_TRUE(lowerGPUKernels(*module, options));
  const std::string ptx = emitPTX(*module).value();
  EXPECT_THAT(ptx, HasSubstr(".extern .shared .align 1024"));
  const std::regex load(R"(ld\.shared\.b32)");
  EXPECT_EQ(std::distance(std::sregex_iterator(ptx.begin(), ptx.end(), load), {}), 2) << ptx;
}

TEST(GPUTargetTest, AllAreFound) {
  std::vector<std::string> names;
  const std::vector<GPUTarget> targets = GPUTarget::all(QUANTC_SOURCE_DIR).value();
  for (const GPUTarget &target : targets)
    names.push_back(target.name);
  EXPECT_THAT(names, testing::ElementsAre("sm_80", "sm_86", "sm_89", "sm_90a", "sm_100a", "sm_120"));
  EXPECT_EQ(GPUTarget::find("sm_1", QUANTC_SOURCE_DIR).error().message,
            "there is no GPU 'sm_1'; there are sm_80, sm_86, sm_89, sm_90a, sm_100a, sm_120");
  EXPECT_FALSE(GPUTarget::find("../targets/sm_80", QUANTC_SOURCE_DIR));
}

TEST(GPUTargetTest, BadFilesAreRefused) {
  const std::filesystem::path path = testing::TempDir() + "/bad-gpu.json";
  auto load = [&](std::string from, std::string to) {
    std::ifstream file(std::filesystem::path(QUANTC_SOURCE_DIR) / "targets/sm_80.json");
    std::string text((std::istreambuf_iterator<char>(file)), {});
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    std::ofstream(path) << text;
    auto target = GPUTarget::load(path);
    return target ? std::string("accepted") : target.error().message;
  };
  EXPECT_THAT(load("\"chip\"", "\"chop\""), HasSubstr("bad-gpu.json: 'chip' is missing"));
  EXPECT_THAT(load("\"ptx\": 80", "\"ptx\": \"80\""), HasSubstr("'ptx' is no positive number"));
  EXPECT_THAT(load("\"warps\": 8", "\"warps\": 0"), HasSubstr("'stream.warps' is no positive number"));
  EXPECT_THAT(load("\"rows\": 16", "\"rows\": 32"), HasSubstr("'storage.rows' must be 16"));
  EXPECT_THAT(load("\"stages\": 4", "\"stages\": 1"), HasSubstr("must divide those of blocks, in 2 stages or more"));
  EXPECT_THAT(load("\"family\": \"cuda\"", "\"family\": \"other\""),
              HasSubstr("describes no GPU of the family 'cuda'"));
  EXPECT_EQ(load("A100", "A100"), "accepted");
}

} // namespace
