//===- SplitSumsTest.cpp - products whose sums several blocks share, against f64 ----------------------------------===//

#include "LayerCase.h"
#include "LinearKernel.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"
#include "mlir/Parser/Parser.h"
#include "quantc/CodeGen/NVPTX/Ptxas.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Encode/Encode.h"
#include "quantc/Format/FragmentStorage.h"
#include "quantc/Pipelines/NVPTX.h"
#include "quantc/Target/GPUTarget.h"
#include <regex>

using namespace quantc;
using namespace quantc::test;

namespace {

struct Product {
  const char *format;
  int64_t N, K;
  bool epilogue; ///< bias, residual and rounding to f16; else the sums
  const char *target = "sm_80";
};

std::string spelled(const char *format) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  mlir::Type(qf::ElemType::of(&context(), format).value()).print(stream);
  return text;
}

std::string kernelText(const Product &p) {
  const std::string y = fmt::format("tensor<?x{}xf32>", p.N), half = fmt::format("tensor<?x{}x!qf.elem<f16>>", p.N),
                    x = fmt::format("tensor<?x{}x!qf.elem<f16>>", p.K),
                    w = fmt::format("tensor<{}x{}x{}>", p.N, p.K, spelled(p.format)),
                    bias = fmt::format("tensor<{}xf32>", p.N);
  if (!p.epilogue)
    return fmt::format(
        "func.func @kernel(%x: {0}, %w: {1}, %out: {2} {{bufferization.writable = true}}) -> {2} {{\n"
        "  %y = nn.linear %x weights(%w : {1}) : {0} -> {2}\n"
        "  %r = bufferization.materialize_in_destination %y in %out : ({2}, {2}) -> {2}\n  return %r : {2}\n}}",
        x, w, y);
  return fmt::format(
      "func.func @kernel(%x: {0}, %w: {1}, %b: {3}, %a: {2}, %out: {4} {{bufferization.writable = true}}) -> {4} {{\n"
      "  %y = nn.linear %x weights(%w : {1}) bias(%b : {3}) add(%a : {2}) : {0} -> {2}\n"
      "  %e = qf.encode %y into %out : {2}, {4} -> {4}\n  return %e : {4}\n}}",
      x, w, y, bias, half);
}

/// A kernel, a weight, and what they give.
class Case {
public:
  Case(const Product &p, const GPULayer::Faults &faults = {}) : p(p) {
    auto made = GPULayer::create(context(), kernelText(p), faults, p.target);
    EXPECT_TRUE(made) << made.error().message;
    layer.emplace(std::move(*made));
    auto elem = qf::ElemType::of(&context(), p.format).value();
    const auto storage = FragmentStorage::derive(qf::BlockType::of(elem, 16)->getKernelStorage()).value();
    const FieldValues fields = encode(*elem.getFormat(), randomNormal(p.N * p.K, 3, 0.05f), p.N, p.K).value();
    values.resize(static_cast<size_t>(p.N * p.K));
    EXPECT_TRUE(decode(*elem.getFormat(), fields, p.N, p.K, values.data()));
    packed.emplace(static_cast<size_t>(storage.bytes(p.N, p.K)));
    EXPECT_TRUE(
        storage.fromFields(fields, p.N, p.K, std::as_writable_bytes(std::span(packed->begin(), packed->size()))));
  }

  /// Blocks of the kernel that multiplies for so many tokens, along the columns.
  int64_t parts() const {
    for (const GPUKernel &kernel : layer->kernels())
      if (kernel.name == "kernel_m64_parts")
        return kernel.grid.y.size;
    return 1;
  }

  /// Normalized squared error against f64 sums; 1 where the kernel fails.
  double error(int64_t M, uint64_t seed = 1) {
    Buffer<_Float16> x(M * p.K), rounded(M * p.N);
    Buffer<float> bias(p.N), residual(M * p.N), y(M * p.N);
    fillRandom(x, 1);
    fillRandom(bias, 5);
    fillRandom(residual, 6);
    std::vector<double> expected;
    for (int64_t m = 0; m < M; m++)
      for (int64_t n = 0; n < p.N; n++) {
        double sum = p.epilogue ? double(bias[n]) + residual[m * p.N + n] : 0;
        for (int64_t k = 0; k < p.K; k++)
          sum += double(x[m * p.K + k]) * values[n * p.K + k];
        expected.push_back(sum);
      }
    std::vector<int64_t> args{x.address(), M, packed->address()};
    if (p.epilogue)
      args.insert(args.end(), {bias.address(), residual.address(), M});
    args.insert(args.end(), {p.epilogue ? rounded.address() : y.address(), M});
    const emulator::Buffer memory[] = {readable(x),        readable(*packed), readable(bias),
                                       readable(residual), writable(y),       writable(rounded)};
    const Status status = layer->run(args, memory, seed);
    problem = status ? "" : status.error().message;
    if (!status)
      return 1;
    sums.assign(y.begin(), y.end());
    return p.epilogue ? normalizedError(rounded, expected) : normalizedError(y, expected);
  }
  std::string problem;
  std::vector<float> sums; ///< of the last run, where there is no epilogue

private:
  Product p;
  std::optional<GPULayer> layer;
  std::vector<float> values;
  std::optional<Buffer<char>> packed;
};

constexpr double exact = 1e-12, ofHalf = 1e-7; // f16 has 11 bits

TEST(SplitSums, MatchF64ForSomeTokens) {
  const std::pair<Product, int64_t> products[] = {{{"int:4:g128", 128, 2048, false}, 2},
                                                  {{"int:4:g128:asym", 32, 3072, true}, 3},
                                                  {{"q4_k", 64, 2048, true}, 2},
                                                  {{"q8_0", 16, 4096, false}, 4},
                                                  {{"int:4:g128", 128, 2048, true, "sm_90a"}, 2}};
  for (const auto &[product, parts] : products) {
    Case one(product);
    EXPECT_EQ(one.parts(), parts);
    for (int64_t M : {9, 16, 17, 31, 33, 63, 64, 65}) {
      const double worst = one.error(M, static_cast<uint64_t>(M));
      EXPECT_LT(worst, product.epilogue ? ofHalf : exact)
          << product.format << " " << product.target << ", " << M << " tokens: " << one.problem;
    }
  }
}

// Sums of parts come to the same numbers: the order does not depend on which block is faster.
TEST(SplitSums, AreTheSameInAnyOrder) {
  Case one({"int:4:g128", 128, 2048, false});
  ASSERT_LT(one.error(20, 1), exact) << one.problem;
  const std::vector<float> first = one.sums;
  for (uint64_t seed = 2; seed <= 4; seed++) {
    ASSERT_LT(one.error(20, seed), exact) << one.problem;
    EXPECT_EQ(one.sums, first);
  }
}

//===- Planted faults ------------------------------------------------------------------------------------------===//

/// Changes an operation of one kernel, the first that `change` says it did change.
template <typename Op> auto within(const std::string &kernel, std::function<void(Op)> change) {
  return [=](mlir::ModuleOp module) {
    bool changed = false;
    module.walk([&](Op op) {
      auto function = op->template getParentOfType<mlir::gpu::GPUFuncOp>();
      if (changed || function.getName() != kernel)
        return;
      changed = true;
      change(op);
    });
    ASSERT_TRUE(changed) << "nothing to change";
  };
}

/// Blocks along y are all the first, or those along x are.
template <mlir::gpu::Dimension dimension> auto onlyFirst(const std::string &kernel) {
  return [=](mlir::ModuleOp module) {
    module.walk([&](mlir::gpu::BlockIdOp id) {
      if (id->getParentOfType<mlir::gpu::GPUFuncOp>().getName() != kernel || id.getDimension() != dimension)
        return;
      mlir::OpBuilder b(id);
      id.replaceAllUsesWith(mlir::arith::ConstantIndexOp::create(b, id.getLoc(), 0).getResult());
    });
  };
}

struct SplitFault {
  const char *name;
  std::function<void(mlir::ModuleOp)> change;
};
const std::string multiplied = "kernel_m64_parts", added = "kernel_m64";
const SplitFault splitFaults[] = {
    {"all_blocks_have_the_first_part", onlyFirst<mlir::gpu::Dimension::y>(multiplied)},
    {"all_blocks_have_the_first_rows", onlyFirst<mlir::gpu::Dimension::x>(multiplied)},
    {"no_barrier_in_the_loop_of_a_part", within<mlir::gpu::BarrierOp>(multiplied, [](auto op) { op.erase(); })},
    {"a_part_is_not_added", within<mlir::arith::AddFOp>(added, [](auto op) { op.replaceAllUsesWith(op.getRhs()); })},
    {"a_part_is_added_twice", within<mlir::arith::AddFOp>(added, [](auto op) { op.setOperand(0, op.getRhs()); })},
    {"nothing_is_stored", within<mlir::LLVM::StoreOp>(added, [](auto op) { op.erase(); })},
};
class SplitFaults : public testing::TestWithParam<SplitFault> {};

TEST_P(SplitFaults, IsFound) {
  Case one({"int:4:g128", 256, 2048, false}, {GetParam().change, {}});
  bool found = false;
  for (uint64_t seed = 1; seed <= 3 && !found; seed++)
    found = !(one.error(13, seed) < exact);
  EXPECT_TRUE(found);
}

INSTANTIATE_TEST_SUITE_P(Planted, SplitFaults, testing::ValuesIn(splitFaults),
                         [](const auto &info) { return std::string(info.param.name); });

//===- Assembled -----------------------------------------------------------------------------------------------===//

// In the shapes of Llama-2-7B and Llama-3-8B whose rows do not fill a GPU.
TEST(PtxasSplitSumsTest, NoSpills) {
  const auto ptxas = findPtxas();
  if (!ptxas)
    GTEST_SKIP() << "there is no ptxas: PTX is not assembled";
  const std::vector<GPUTarget> targets = GPUTarget::all(QUANTC_SOURCE_DIR).value();
  for (const GPUTarget &target : targets)
    for (const char *format : {"int:4:g128", "q4_k"})
      for (auto [N, K] : {std::pair(4096, 4096), {1024, 4096}, {4096, 11008}, {4096, 14336}}) {
        SCOPED_TRACE(fmt::format("{}, {}, {} x {}", target.name, format, N, K));
        auto module = mlir::parseSourceString<mlir::ModuleOp>(kernelText({format, N, K, true}), &context());
        NVPTXOptions options;
        options.target = target.name;
        const Status lowered = lowerGPUKernels(*module, options);
        ASSERT_TRUE(lowered) << lowered.error().message;
        for (const GPUKernel &kernel : kernelsOf(*module))
          if (kernel.name == multiplied)
            std::cout << fmt::format("blocks: {} {} {}x{}: {} x {}\n", target.name, format, N, K, kernel.grid.x.size,
                                     kernel.grid.y.size);
        auto assembled = assemblePTX(*ptxas, emitPTX(*module).value(), target.chip);
        ASSERT_TRUE(assembled) << assembled.error().message;
        EXPECT_FALSE(std::regex_search(assembled->report, std::regex("[1-9][0-9]* bytes spill"))) << assembled->report;
        EXPECT_EQ(assembled->report.find("C75"), std::string::npos) << assembled->report;
      }
}

} // namespace
