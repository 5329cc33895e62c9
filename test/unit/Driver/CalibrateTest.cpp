//===- CalibrateTest.cpp - what calibration sees, compared with a model in f64 ----------------------------------===//

#include "ReferenceModel.h"
#include "quantc/Calibrate/Calibrator.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Import/Import.h"
#include "quantc/Pipelines/Pipelines.h"
#include "quantc/Runtime/Cpu.h"
#include "quantc/Support/Files.h"
#include <cmath>
#include <cstdlib>
#include <gmock/gmock.h>

using namespace quantc;
using namespace quantc::test;
namespace fs = std::filesystem;

namespace {

const std::vector<std::vector<int32_t>> sequences = {
    {1, 7, 30, 2, 45, 17, 17, 8, 21, 40, 3, 11, 0, 33, 47, 29, 12, 5, 38, 26, 14}, {4, 4, 9}, {22}};

/// Sums of one input in f64.
struct Sums {
  std::vector<double> absolute, largest;
  std::vector<std::vector<double>> products;
  size_t tokens = 0;
  void add(const std::vector<double> &x) {
    absolute.resize(x.size());
    largest.resize(x.size());
    products.resize(x.size(), std::vector<double>(x.size()));
    ++tokens;
    for (size_t i = 0; i < x.size(); ++i) {
      absolute[i] += std::abs(x[i]);
      largest[i] = std::max(largest[i], std::abs(x[i]));
      for (size_t j = 0; j < x.size(); ++j)
        products[i][j] += x[i] * x[j];
    }
  }
};

/// The observer of a layer's linear, by the name of the first weight that reads its input.
std::string observerOf(const std::string &linear) {
  const std::pair<const char *, const char *> names[] = {{"self_attn.q_proj", "attn_q"},
                                                         {"self_attn.o_proj", "attn_output"},
                                                         {"mlp.gate_proj", "ffn_gate"},
                                                         {"mlp.down_proj", "ffn_down"}};
  for (auto [theirs, ours] : names)
    if (const size_t at = linear.find(theirs); at != std::string::npos) {
      const std::string layer = linear.substr(13, linear.find('.', 13) - 13); // behind "model.layers."
      return "blk." + layer + "." + ours;
    }
  return linear == "lm_head" ? "output" : "";
}

std::map<std::string, Sums> expectedSums(ReferenceModel reference,
                                         const std::vector<std::vector<int32_t>> &texts = sequences) {
  std::map<std::string, Sums> sums;
  reference.watch = [&](const std::string &name, const std::vector<double> &input) {
    if (const std::string observer = observerOf(name); !observer.empty())
      sums[observer].add(input);
  };
  for (const auto &sequence : texts)
    reference.logits(sequence);
  return sums;
}

void expectClose(const InputStatistics &found, const Sums &expected, double bound) {
  const size_t K = expected.absolute.size();
  ASSERT_EQ(found.K, static_cast<int64_t>(K));
  EXPECT_EQ(found.tokens, expected.tokens);
  double largest = 0, worst = 0;
  const double n = static_cast<double>(expected.tokens);
  for (size_t i = 0; i < K; ++i) {
    EXPECT_NEAR(found.meanAbs[i], expected.absolute[i] / n, bound * (1 + expected.absolute[i] / n));
    EXPECT_NEAR(found.meanSquare[i], expected.products[i][i] / n, bound * (1 + expected.products[i][i] / n));
    EXPECT_NEAR(found.maxAbs[i], expected.largest[i], bound * (1 + expected.largest[i]));
    for (size_t j = 0; j < K; ++j) {
      largest = std::max(largest, std::abs(expected.products[i][j] / n));
      worst = std::max(worst, std::abs(found.hessian[i * K + j] - expected.products[i][j] / n));
    }
  }
  EXPECT_LT(worst, bound * largest);
}

/// A tiny model and what is needed to calibrate it.
struct Opened {
  std::unique_ptr<mlir::MLIRContext> context;
  std::shared_ptr<const Checkpoint> checkpoint;
  std::unique_ptr<WeightStore> store;
  fs::path data, path;

  Opened(const std::string &name, const std::string &arguments) {
    path = fs::path(testing::TempDir()) / "calibrate-test" / name;
    const std::string command =
        "python3 " QUANTC_SOURCE_DIR "/test/Import/Inputs/make_model.py '" + path.string() + "' " + arguments;
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
    mlir::DialectRegistry registry;
    registerAllDialects(registry);
    context = std::make_unique<mlir::MLIRContext>(registry, mlir::MLIRContext::Threading::DISABLED);
    context->loadAllAvailableDialects();
    data = *dataDirectory();
    std::shared_ptr<Catalog> catalog = *Catalog::open(data);
    context->getOrLoadDialect<qf::QFDialect>()->setCatalog(catalog);
    checkpoint = *Checkpoint::open(path, *catalog);
    store = *WeightStore::create(checkpoint, 16, path);
  }

  Result<std::unique_ptr<Calibrator>> calibrator(const std::string &target, CalibrationOptions options) const {
    auto graph = importModel(*checkpoint, *Architectures::load(data / "architectures"), *context);
    EXPECT_TRUE(graph.has_value());
    options.scratch = path;
    return Calibrator::create(std::move(*graph), *store, *Target::find(target, data), std::move(options));
  }
};

std::vector<std::string> targets() {
  std::vector<std::string> names;
  const std::vector<Target> all = *Target::all(*dataDirectory());
  for (const Target &target : all)
    if (firstMissingFeature(target.required).empty())
      names.push_back(target.name);
  return names;
}

TEST(Calibrate, SeesWhatTheModelComputes) {
  // Features that are no multiple of any tile: 72 and 100.
  const Opened model("llama", "--arch llama --hidden 72 --ffn 100 --head-dim 24");
  const auto expected = expectedSums(ReferenceModel(model.path));
  ASSERT_GE(expected.size(), 5u);
  std::map<std::string, std::pmr::vector<float>> first;
  for (const std::string &target : targets())
    for (unsigned threads : {1u, 3u}) {
      auto calibrator = model.calibrator(target, {.sequences = sequences, .threads = threads});
      ASSERT_TRUE(calibrator.has_value()) << calibrator.error().message;
      for (const auto &[name, K] : (*calibrator)->observers()) {
        auto found = (*calibrator)->of(name, true);
        ASSERT_TRUE(found.has_value()) << found.error().message;
        ASSERT_TRUE(expected.count(name)) << name;
        expectClose(**found, expected.at(name), 1e-5);
        // The same bits on every target and for every number of threads.
        auto [known, isNew] = first.try_emplace(name, (*found)->hessian);
        EXPECT_TRUE(isNew || known->second == (*found)->hessian) << target << ", " << name;
      }
    }
}

/// More tokens than are copied at a time, and no multiple of that: sums go on from one block of tokens to the next.
TEST(Calibrate, SeesLongSequences) {
  const Opened model("long", "--arch llama");
  std::vector<std::vector<int32_t>> texts = {{}, {}};
  for (int32_t i = 0; i < 300; ++i)
    texts[i < 171].push_back((i * i + 7 * i) % 48);
  const auto expected = expectedSums(ReferenceModel(model.path), texts);
  auto calibrator = model.calibrator(targets().back(), {.sequences = texts});
  ASSERT_TRUE(calibrator.has_value()) << calibrator.error().message;
  for (const auto &[name, K] : (*calibrator)->observers()) {
    auto found = (*calibrator)->of(name, true);
    ASSERT_TRUE(found.has_value()) << found.error().message;
    expectClose(**found, expected.at(name), 1e-4); // f16 keys and values tie now and then
  }
}

/// What is limited is limited for all matrices: none is copied to the heap.
TEST(Calibrate, KeepsMatricesInTheMemoryItIsGiven) {
  const Opened model("memory", "--arch llama");
  std::pmr::monotonic_buffer_resource memory;
  auto calibrator = model.calibrator(targets().back(), {.sequences = sequences, .memory = &memory});
  ASSERT_TRUE(calibrator.has_value()) << calibrator.error().message;
  for (const auto &[name, K] : (*calibrator)->observers()) {
    auto found = (*calibrator)->of(name, true);
    ASSERT_TRUE(found.has_value()) << found.error().message;
    EXPECT_EQ((*found)->hessian.get_allocator().resource(), &memory) << name;
  }
}

TEST(Calibrate, SeesQuantizedPredecessors) {
  const Opened model("qwen3", "--arch qwen3 --head-dim 32");
  // What stands for quantization: weights cut to few values (not to few bits, which would make keys and values tie
  // between two f16 numbers).
  auto change = [](std::span<float> w) {
    for (float &v : w)
      v = std::round(v * 37.3f) / 37.3f;
  };
  const auto expected =
      expectedSums(ReferenceModel(model.path, [&](const std::string &, std::vector<float> &w, int64_t) { change(w); }));
  auto calibrator =
      model.calibrator(targets().back(), {.sequences = sequences, .predecessors = Predecessors::Quantized});
  ASSERT_TRUE(calibrator.has_value()) << calibrator.error().message;
  // The weights of the graph in its order; each changes once what its own linear sees is known.
  auto graph = importModel(*model.checkpoint, *Architectures::load(model.data / "architectures"), *model.context);
  ASSERT_TRUE(graph.has_value());
  std::string block;
  for (nn::WeightOp weight : (*graph)->getOps<nn::WeightOp>()) {
    auto type = mlir::cast<mlir::RankedTensorType>(weight.getType());
    const std::string name = weight.getSymName().str();
    if (type.getRank() != 2)
      continue;
    // Who has asked for all inputs of a block before its weights change learns of those behind anew.
    if (const std::string here = name.substr(0, name.rfind('.')); here.starts_with("blk.") && here != block)
      for (const char *input : {".attn_q", ".attn_output", ".ffn_gate", ".ffn_down"})
        ASSERT_TRUE((*calibrator)->of((block = here) + input, true).has_value());
    if (expected.count(name)) {
      auto found = (*calibrator)->of(name, true);
      ASSERT_TRUE(found.has_value()) << found.error().message;
      // Keys and values are rounded to f16: f32 sums may move one over the edge between two numbers.
      expectClose(**found, expected.at(name), 1e-4);
    }
    std::vector<float> values(type.getNumElements());
    ASSERT_TRUE(model.store->read(weight, 0, type.getDimSize(0), values.data()).has_value());
    change(values);
    const int64_t K = type.getDimSize(1);
    auto read = [&](int64_t row, int64_t count, float *out) -> Status {
      std::copy_n(values.data() + row * K, count * K, out);
      return {};
    };
    ASSERT_TRUE((*calibrator)->replaced(name, read).has_value());
  }
}

TEST(Calibrate, RefusesWhatItCannotCompute) {
  const Opened model("errors", "--arch llama");
  const std::string target = targets().front();
  using testing::HasSubstr;
  EXPECT_THAT(model.calibrator(target, {}).error().message, HasSubstr("no text"));
  EXPECT_THAT(model.calibrator(target, {.sequences = {{}}}).error().message, HasSubstr("has 0 tokens"));
  EXPECT_THAT(model.calibrator(target, {.sequences = {{1, 48}}}).error().message, HasSubstr("outside the vocabulary"));
  auto calibrator = model.calibrator(target, {.sequences = sequences, .hessian = false});
  ASSERT_TRUE(calibrator.has_value()) << calibrator.error().message;
  EXPECT_THAT((*calibrator)->of("blk.0.attn_q", true).error().message, HasSubstr("does not collect"));
  EXPECT_THAT((*calibrator)->of("blk.9.attn_q", false).error().message, HasSubstr("no linear's input"));
  EXPECT_TRUE((*calibrator)->of("blk.1.attn_q", false).has_value());
  EXPECT_THAT((*calibrator)->of("blk.0.attn_q", false).error().message, HasSubstr("passed already"));
}

} // namespace
