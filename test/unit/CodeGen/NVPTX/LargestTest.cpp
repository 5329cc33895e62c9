//===- LargestTest.cpp - the choice of tokens on a GPU ------------------------------------------------------------===//

#include "LayerCase.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"
#include "mlir/Parser/Parser.h"
#include "quantc/CodeGen/NVPTX/Ptxas.h"
#include "quantc/CodeGen/TargetAttributes.h"
#include "quantc/Pipelines/NVPTX.h"
#include <algorithm>
#include <cmath>
#include <iostream>
#include <limits>
#include <numeric>
#include <random>
#include <regex>

using namespace quantc;
using namespace quantc::test;
using Predicate = mlir::arith::CmpFPredicate;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity(), notANumber = std::numeric_limits<float>::quiet_NaN();

std::string argMaxText(int features) {
  return fmt::format(
      "func.func @kernel(%x: tensor<?x{}xf32>, %t: tensor<?xi32> {{bufferization.writable = true}}, "
      "%l: tensor<?xf32> {{bufferization.writable = true}}) -> (tensor<?xi32>, tensor<?xf32>) {{\n"
      "  %a, %b = nn.argmax %x : tensor<?x{}xf32> -> tensor<?xi32>, tensor<?xf32>\n"
      "  %r = bufferization.materialize_in_destination %a in %t : (tensor<?xi32>, tensor<?xi32>) -> tensor<?xi32>\n"
      "  %s = bufferization.materialize_in_destination %b in %l : (tensor<?xf32>, tensor<?xf32>) -> tensor<?xf32>\n"
      "  return %r, %s : tensor<?xi32>, tensor<?xf32>\n}}",
      features, features);
}

std::string topText(int features, int count) {
  return fmt::format(
      "func.func @kernel(%x: tensor<?x{0}xf32>, %t: tensor<?x{1}xi32> {{bufferization.writable = true}}, "
      "%l: tensor<?x{1}xf32> {{bufferization.writable = true}}) -> (tensor<?x{1}xi32>, tensor<?x{1}xf32>) {{\n"
      "  %a, %b = nn.top %x : tensor<?x{0}xf32> -> tensor<?x{1}xi32>, tensor<?x{1}xf32>\n"
      "  %r = bufferization.materialize_in_destination %a in %t : (tensor<?x{1}xi32>, tensor<?x{1}xi32>) -> "
      "tensor<?x{1}xi32>\n"
      "  %s = bufferization.materialize_in_destination %b in %l : (tensor<?x{1}xf32>, tensor<?x{1}xf32>) -> "
      "tensor<?x{1}xf32>\n"
      "  return %r, %s : tensor<?x{1}xi32>, tensor<?x{1}xf32>\n}}",
      features, count);
}

/// Rows of logits, each of which something can go wrong with.
std::vector<std::vector<float>> rowsOf(int features) {
  std::mt19937 random(static_cast<unsigned>(features));
  std::normal_distribution<float> normal;
  std::uniform_int_distribution<int> anywhere(0, features - 1);
  std::vector<float> plain(features);
  for (float &x : plain)
    x = normal(random);
  std::vector<std::vector<float>> rows(3, plain);
  const auto with = [&](std::vector<std::pair<int, float>> numbers, std::vector<float> row) {
    for (auto [at, number] : numbers)
      row[std::clamp(at, 0, features - 1)] = number;
    rows.push_back(std::move(row));
  };
  const std::vector<float> negative(features, -1.0f), none(features, -infinity);
  with({{0, 9}}, plain);
  with({{features - 1, 9}}, plain);
  with({{anywhere(random), 9}, {anywhere(random), 9}}, plain); // the first of two
  with({{5, 9}, {5 + 1024, 9}, {5 + 32, 9}}, plain);           // which one thread may have, or two warps
  with({{5, 9}, {5 + 1024, 8}}, plain);                        // which one thread may have
  with({}, negative);                                          // all the same
  with({{7, 0.0f}, {3, -0.0f}}, negative);                     // equal
  with({{3, 0.0f}, {7, -0.0f}}, negative);
  with({}, none);
  std::vector<float> steps = plain; // many of each
  for (float &x : steps)
    x = std::round(x);
  with({}, steps);
  with({{anywhere(random), -5}}, none);
  with({{anywhere(random), infinity}, {anywhere(random), infinity}}, plain);
  with({{anywhere(random), notANumber}}, plain);
  with({{features - 1, notANumber}, {0, infinity}}, plain);
  return rows;
}

/// What a kernel gives for some rows: so many places and numbers for each.
struct Found {
  Buffer<int32_t> tokens;
  Buffer<float> logits;
};
Result<Found> run(const GPULayer &layer, const std::vector<std::vector<float>> &rows, int64_t each, uint64_t seed) {
  const auto count = static_cast<int64_t>(rows.size()), features = static_cast<int64_t>(rows[0].size());
  Buffer<float> x(count * features);
  Found found{Buffer<int32_t>(count * each), Buffer<float>(count * each)};
  for (int64_t i = 0; i < count; i++)
    std::ranges::copy(rows[i], x.begin() + i * features);
  const int64_t args[] = {x.address(), count, found.tokens.address(), count, found.logits.address(), count};
  const emulator::Buffer memory[] = {readable(x), writable(found.tokens), writable(found.logits)};
  QUANTC_TRY(layer.run(args, memory, seed));
  return found;
}

bool hasNaN(const std::vector<float> &row) {
  return std::ranges::any_of(row, [](float v) { return std::isnan(v); });
}

/// Whether a kernel gives the most likely token that the standard library finds; else what is wrong.
std::string wrongArgMax(const GPULayer &layer, int features, uint64_t seed) {
  const std::vector<std::vector<float>> rows = rowsOf(features);
  auto found = run(layer, rows, 1, seed);
  if (!found)
    return found.error().message;
  auto &[tokens, largest] = *found;
  for (size_t i = 0; i < rows.size(); i++) {
    const auto best = std::ranges::max_element(rows[i]);
    const bool isRight = hasNaN(rows[i]) ? std::isnan(largest[i]) && tokens[i] >= 0 && tokens[i] < features
                                         : largest[i] == *best && tokens[i] == best - rows[i].begin();
    if (!isRight)
      return fmt::format("row {}: token {}, {}; the first largest is {}, {}", i, tokens[i], largest[i],
                         best - rows[i].begin(), *best);
  }
  return "";
}

/// The same of the most likely ones: the standard library sorts.
std::string wrongTop(const GPULayer &layer, int features, int each, uint64_t seed) {
  const std::vector<std::vector<float>> rows = rowsOf(features);
  auto found = run(layer, rows, each, seed);
  if (!found)
    return found.error().message;
  for (size_t i = 0; i < rows.size(); i++) {
    std::vector<int> order(features);
    std::iota(order.begin(), order.end(), 0);
    if (!hasNaN(rows[i]))
      std::ranges::sort(order,
                        [&](int a, int b) { return rows[i][a] != rows[i][b] ? rows[i][a] > rows[i][b] : a < b; });
    for (int rank = 0; rank < each; rank++) {
      const size_t at = i * each + rank;
      const int32_t token = found->tokens[at];
      const float logit = found->logits[at], expected = rows[i][order[rank]];
      const bool isRight = hasNaN(rows[i]) ? std::isnan(logit) && token >= 0 && token < features
                                           : logit == expected && token == (expected == -infinity ? 0 : order[rank]);
      if (!isRight)
        return fmt::format("row {}, rank {}: token {}, {}; sorted it is {}, {}", i, rank, token, logit, order[rank],
                           expected);
    }
  }
  return "";
}

TEST(Largest, IsTheFirstOfSeveral) {
  for (int features : {1, 2, 31, 32, 33, 51, 255, 288, 1023, 1024, 1025, 2500}) {
    const GPULayer layer = compiled(argMaxText(features));
    for (uint64_t seed : {1, 2})
      EXPECT_EQ(wrongArgMax(layer, features, seed), "") << features << " features";
  }
}

TEST(Largest, AreSorted) {
  // A thread has one number or some, which the threads of a warp or of 32 warps offer.
  for (auto [features, count] : {std::pair(1, 1),
                                 {2, 2},
                                 {31, 31},
                                 {32, 7},
                                 {33, 33},
                                 {51, 51},
                                 {255, 64},
                                 {288, 20},
                                 {1023, 3},
                                 {1024, 8},
                                 {1025, 5},
                                 {2500, 12}}) {
    const GPULayer layer = compiled(topText(features, count));
    EXPECT_EQ(wrongTop(layer, features, count, static_cast<uint64_t>(features)), "") << count << " of " << features;
  }
}

// The largest vocabularies of today's models, on every GPU.
TEST(PtxasLargestTest, NoSpills) {
  const auto ptxas = findPtxas();
  if (!ptxas)
    GTEST_SKIP() << "there is no ptxas: PTX is not assembled";
  const std::vector<GPUTarget> targets = GPUTarget::all(QUANTC_SOURCE_DIR).value();
  for (const GPUTarget &target : targets)
    for (const auto &[name, text] : {std::pair("argmax", argMaxText(152064)), {"top", topText(152064, 64)}}) {
      SCOPED_TRACE(target.name);
      auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context());
      NVPTXOptions options;
      options.target = target.name;
      ASSERT_TRUE(lowerGPUKernels(*module, options));
      const auto assembled = assemblePTX(*ptxas, emitPTX(*module).value(), target.chip);
      ASSERT_TRUE(assembled) << assembled.error().message;
      const std::regex spills("[1-9][0-9]* bytes spill"), registers("Used ([0-9]+) registers");
      EXPECT_FALSE(std::regex_search(assembled->report, spills)) << assembled->report;
      std::smatch used;
      ASSERT_TRUE(std::regex_search(assembled->report, used, registers)) << assembled->report;
      std::cout << fmt::format("registers: {} {}: {}\n", name, target.name, used.str(1));
    }
}

struct Fault {
  const char *name;
  std::function<void(mlir::ModuleOp)> change; ///< at the level 'lanes'
};

/// Changes the operation of a type with this number.
template <typename Op> auto change(size_t number, std::function<void(Op)> how) {
  return [=](mlir::ModuleOp module) {
    std::vector<Op> found;
    module.walk([&](Op op) { found.push_back(op); });
    ASSERT_GT(found.size(), number) << "nothing to change";
    how(found[number]);
  };
}
const auto compare(Predicate as) {
  return [=](mlir::arith::CmpFOp op) { op.setPredicate(as); };
}
const auto erase = [](auto op) { op.erase(); };

/// What forgets NaN.
void replaceByNumbers(mlir::arith::MaximumFOp op) {
  mlir::OpBuilder b(op);
  op.replaceAllUsesWith(mlir::arith::MaxNumFOp::create(b, op.getLoc(), op.getLhs(), op.getRhs()).getResult());
  op.erase();
}
void shuffleWithItself(mlir::gpu::ShuffleOp op) {
  op.getShuffleResult().replaceAllUsesWith(op.getValue());
}

void ignoreThePlace(mlir::arith::AndIOp hasItThere) {
  hasItThere.replaceAllUsesWith(hasItThere.getLhs());
}

const Fault argMaxFaults[] = {
    {"the_last_of_several_in_a_thread", change<mlir::arith::CmpFOp>(0, compare(Predicate::OLE))},
    {"any_that_is_not_larger", change<mlir::arith::CmpFOp>(1, compare(Predicate::OLE))},
    {"NaN_is_forgotten", change<mlir::arith::MaximumFOp>(0, replaceByNumbers)},
    {"lanes_that_are_not_asked", change<mlir::gpu::ShuffleOp>(2, shuffleWithItself)},
    {"warps_that_are_not_asked", change<mlir::gpu::ShuffleOp>(7, shuffleWithItself)},
    {"places_of_lanes_that_are_not_asked", change<mlir::gpu::ShuffleOp>(12, shuffleWithItself)},
    {"no_barrier_before_the_largest_of_warps", change<mlir::gpu::BarrierOp>(0, erase)},
    {"no_barrier_before_the_places_of_warps", change<mlir::gpu::BarrierOp>(2, erase)},
    {"no_token", change<mlir::LLVM::StoreOp>(0, erase)},
};

const Fault topFaults[] = {
    {"NaN_is_behind_nothing", change<mlir::arith::CmpFOp>(0, compare(Predicate::OLT))},
    {"the_largest_that_can_be_is_left_out", change<mlir::arith::CmpFOp>(1, compare(Predicate::AlwaysFalse))},
    {"the_last_of_several_in_a_thread", change<mlir::arith::CmpFOp>(2, compare(Predicate::OLE))},
    {"any_that_is_not_larger", change<mlir::arith::CmpFOp>(3, compare(Predicate::OLE))},
    {"what_was_taken_is_found_again", change<mlir::arith::CmpFOp>(4, compare(Predicate::ULE))},
    {"only_equal_ones_are_left", change<mlir::arith::CmpFOp>(4, compare(Predicate::AlwaysFalse))},
    {"equal_ones_are_left_out", change<mlir::arith::CmpFOp>(5, compare(Predicate::AlwaysFalse))},
    {"the_last_of_several_that_are_left", change<mlir::arith::CmpFOp>(6, compare(Predicate::OLE))},
    {"who_has_what_was_taken_elsewhere_looks_on", change<mlir::arith::AndIOp>(2, ignoreThePlace)},
    {"NaN_is_forgotten", change<mlir::arith::MaximumFOp>(0, replaceByNumbers)},
    {"lanes_that_are_not_asked", change<mlir::gpu::ShuffleOp>(2, shuffleWithItself)},
    {"warps_that_are_not_asked", change<mlir::gpu::ShuffleOp>(7, shuffleWithItself)},
    {"no_barrier_before_the_largest_of_warps", change<mlir::gpu::BarrierOp>(0, erase)},
    {"no_barrier_before_the_places_of_warps", change<mlir::gpu::BarrierOp>(2, erase)},
    {"no_tokens", change<mlir::LLVM::StoreOp>(0, erase)},
    {"no_logits", change<mlir::LLVM::StoreOp>(1, erase)},
};

/// Whether something is found wrong, in one of three orders of threads.
void expectFound(const std::string &text, const Fault &fault,
                 const std::function<std::string(const GPULayer &, uint64_t seed)> &wrong) {
  const auto layer = GPULayer::create(context(), text, {fault.change, {}});
  ASSERT_TRUE(layer) << layer.error().message;
  bool found = false;
  for (uint64_t seed = 1; seed <= 3 && !found; seed++)
    found = !wrong(*layer, seed).empty();
  EXPECT_TRUE(found);
}

constexpr int faulty = 1500, faultyCount = 9;
const auto nameOf = [](const auto &info) { return std::string(info.param.name); };

class ArgMaxFaults : public testing::TestWithParam<Fault> {};

TEST_P(ArgMaxFaults, IsFound) {
  expectFound(argMaxText(faulty), GetParam(),
              [](const GPULayer &layer, uint64_t seed) { return wrongArgMax(layer, faulty, seed); });
}
INSTANTIATE_TEST_SUITE_P(Planted, ArgMaxFaults, testing::ValuesIn(argMaxFaults), nameOf);

class TopFaults : public testing::TestWithParam<Fault> {};

TEST_P(TopFaults, IsFound) {
  expectFound(topText(faulty, faultyCount), GetParam(),
              [](const GPULayer &layer, uint64_t seed) { return wrongTop(layer, faulty, faultyCount, seed); });
}
INSTANTIATE_TEST_SUITE_P(Planted, TopFaults, testing::ValuesIn(topFaults), nameOf);

} // namespace
