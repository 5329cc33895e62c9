//===- ArgMaxTest.cpp - the choice of a token on a GPU ------------------------------------------------------------===//

#include "LayerCase.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"
#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

using namespace quantc;
using namespace quantc::test;
using Predicate = mlir::arith::CmpFPredicate;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity(), notANumber = std::numeric_limits<float>::quiet_NaN();

std::string kernelText(int features) {
  return fmt::format(
      "func.func @kernel(%x: tensor<?x{}xf32>, %t: tensor<?xi32> {{bufferization.writable = true}}, "
      "%l: tensor<?xf32> {{bufferization.writable = true}}) -> (tensor<?xi32>, tensor<?xf32>) {{\n"
      "  %a, %b = nn.argmax %x : tensor<?x{}xf32> -> tensor<?xi32>, tensor<?xf32>\n"
      "  %r = bufferization.materialize_in_destination %a in %t : (tensor<?xi32>, tensor<?xi32>) -> tensor<?xi32>\n"
      "  %s = bufferization.materialize_in_destination %b in %l : (tensor<?xf32>, tensor<?xf32>) -> tensor<?xf32>\n"
      "  return %r, %s : tensor<?xi32>, tensor<?xf32>\n}}",
      features, features);
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
  with({}, negative);                                          // all the same
  with({{7, 0.0f}, {3, -0.0f}}, negative);                     // equal
  with({{3, 0.0f}, {7, -0.0f}}, negative);
  with({}, none);
  with({{anywhere(random), -5}}, none);
  with({{anywhere(random), infinity}, {anywhere(random), infinity}}, plain);
  with({{anywhere(random), notANumber}}, plain);
  with({{features - 1, notANumber}, {0, infinity}}, plain);
  return rows;
}

/// Whether a kernel gives what the standard library finds; else what is wrong.
std::string wrong(const GPULayer &layer, int features, uint64_t seed) {
  const std::vector<std::vector<float>> rows = rowsOf(features);
  const auto count = static_cast<int64_t>(rows.size());
  Buffer<float> x(count * features), largest(count);
  Buffer<int32_t> tokens(count);
  for (int64_t i = 0; i < count; i++)
    std::ranges::copy(rows[i], x.begin() + i * features);
  const int64_t args[] = {x.address(), count, tokens.address(), count, largest.address(), count};
  const emulator::Buffer memory[] = {readable(x), writable(tokens), writable(largest)};
  if (const Status status = layer.run(args, memory, seed); !status)
    return status.error().message;
  for (int64_t i = 0; i < count; i++) {
    const auto best = std::ranges::max_element(rows[i]);
    const bool isNaN = std::ranges::any_of(rows[i], [](float v) { return std::isnan(v); });
    const bool isRight = isNaN ? std::isnan(largest[i]) && tokens[i] >= 0 && tokens[i] < features
                               : largest[i] == *best && tokens[i] == best - rows[i].begin();
    if (!isRight)
      return fmt::format("row {}: token {}, {}; the first largest is {}, {}", i, tokens[i], largest[i],
                         best - rows[i].begin(), *best);
  }
  return "";
}

TEST(ArgMax, IsTheFirstLargest) {
  for (int features : {1, 2, 31, 32, 33, 51, 255, 1023, 1024, 1025, 2500}) {
    const GPULayer layer = compiled(kernelText(features));
    for (uint64_t seed : {1, 2})
      EXPECT_EQ(wrong(layer, features, seed), "") << features << " features";
  }
}

struct ArgMaxFault {
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

const ArgMaxFault argMaxFaults[] = {
    {"the_last_of_several_in_a_thread", change<mlir::arith::CmpFOp>(0, compare(Predicate::OLE))},
    {"any_that_is_not_larger", change<mlir::arith::CmpFOp>(1, compare(Predicate::OLE))},
    {"NaN_is_forgotten", change<mlir::arith::MaximumFOp>(0, replaceByNumbers)},
    {"lanes_that_are_not_asked", change<mlir::gpu::ShuffleOp>(2, shuffleWithItself)},
    {"places_of_lanes_that_are_not_asked", change<mlir::gpu::ShuffleOp>(7, shuffleWithItself)},
    {"no_barrier_before_the_largest_of_warps", change<mlir::gpu::BarrierOp>(0, erase)},
    {"no_barrier_before_the_places_of_warps", change<mlir::gpu::BarrierOp>(2, erase)},
    {"no_token", change<mlir::LLVM::StoreOp>(0, erase)},
};

class ArgMaxFaults : public testing::TestWithParam<ArgMaxFault> {};

TEST_P(ArgMaxFaults, IsFound) {
  const int features = 1500;
  const auto layer = GPULayer::create(context(), kernelText(features), {GetParam().change, {}});
  ASSERT_TRUE(layer) << layer.error().message;
  bool found = false;
  for (uint64_t seed = 1; seed <= 3 && !found; seed++)
    found = !wrong(*layer, features, seed).empty();
  EXPECT_TRUE(found);
}

INSTANTIATE_TEST_SUITE_P(Planted, ArgMaxFaults, testing::ValuesIn(argMaxFaults),
                         [](const auto &info) { return std::string(info.param.name); });

} // namespace
