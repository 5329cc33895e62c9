//===- CompileTest.cpp - whole models: compiled, run, and compared with f64 -------------------------------------===//

#include "quantc/Driver/Compile.h"

#include "ReferenceModel.h"
#include "quantc/Encode/Encode.h"
#include "quantc/Runtime/Session.h"
#include "quantc/Support/Files.h"
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <gmock/gmock.h>

using namespace quantc;
using namespace quantc::test;

namespace {

/// A tiny model, written by a script that shares nothing with the compiler.
std::filesystem::path makeModel(const std::string &name, const std::string &arguments) {
  std::filesystem::path path = std::filesystem::path(testing::TempDir()) / "compile-test" / name;
  std::string command =
      "python3 " QUANTC_SOURCE_DIR "/test/Import/Inputs/make_model.py '" + path.string() + "' " + arguments;
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
  return path;
}

std::shared_ptr<const Model> compile(CompileOptions options) {
  options.output =
      options.model.string() + "-" + options.format + options.policy + std::to_string(int(options.precision)) + ".qm";
  auto report = compileModel(options);
  EXPECT_TRUE(report.has_value()) << report.error().message;
  if (!report)
    return nullptr;
  auto model = Model::load(options.output);
  EXPECT_TRUE(model.has_value()) << model.error().message;
  return model ? *model : nullptr;
}

/// Squared error against squared reference, over all logits.
double error(const std::vector<std::vector<double>> &expected, std::span<const float> actual) {
  double difference = 0, square = 0;
  size_t i = 0;
  for (const auto &row : expected)
    for (double e : row) {
      double d = actual[i++] - e;
      difference += d * d;
      square += e * e;
    }
  return difference / square;
}

const std::vector<int32_t> tokens = {1, 7, 30, 2, 45, 17, 17, 8, 21, 40, 3, 11, 0, 33, 47, 29, 12, 5, 38, 26, 14};

/// All logits in one pass, then token by token: both must be close to the reference, and equal to each other.
void expectLogits(const std::shared_ptr<const Model> &model, ReferenceModel reference, double bound) {
  ASSERT_TRUE(model);
  auto expected = reference.logits(tokens);
  for (unsigned threads : {1u, 3u}) {
    auto session = Session::create(model, {.context = 64, .threads = threads});
    ASSERT_TRUE(session.has_value()) << session.error().message;
    auto all = (*session)->step(tokens, Rows::All);
    ASSERT_TRUE(all.has_value()) << all.error().message;
    std::vector<float> prefill(all->begin(), all->end());
    EXPECT_LT(error(expected, prefill), bound);

    (*session)->reset();
    size_t vocab = model->vocab();
    for (size_t i = 0; i < tokens.size(); ++i) {
      auto one = (*session)->step(std::span(tokens).subspan(i, 1));
      ASSERT_TRUE(one.has_value()) << one.error().message;
      EXPECT_TRUE(std::equal(one->begin(), one->end(), prefill.begin() + i * vocab)) << "token " << i;
    }
  }
}

struct Case {
  const char *name, *arguments;
};

class CompiledArchitecture : public testing::TestWithParam<Case> {};

TEST_P(CompiledArchitecture, GivesTheLogitsOfTheReference) {
  auto path = makeModel(GetParam().name, GetParam().arguments);
  for (Precision precision : {Precision::Exact, Precision::High, Precision::Fast})
    expectLogits(compile({.model = path, .precision = precision}), ReferenceModel(path), 1e-9);
}

INSTANTIATE_TEST_SUITE_P(Architectures, CompiledArchitecture,
                         testing::Values(Case{"llama", "--arch llama"}, Case{"tied", "--arch llama --tied --biases"},
                                         Case{"mistral", "--arch mistral --set sliding_window=5"},
                                         Case{"qwen2", "--arch qwen2"}, Case{"qwen3", "--arch qwen3 --head-dim 32"}),
                         [](const auto &info) { return std::string(info.param.name); });

TEST(Compile, PositionsBehindTheFirstTableOfAngles) {
  auto path = makeModel("long", "--arch llama");
  std::vector<int32_t> text;
  for (size_t i = 0; i < 1040; ++i) // the tables have the angles of 1024 positions, and of multiples of 1024
    text.push_back(tokens[i * i % tokens.size()]);
  auto model = compile({.model = path, .precision = Precision::Exact});
  ASSERT_TRUE(model);
  auto session = Session::create(model, {.context = 1040, .chunk = 1040, .threads = 1});
  ASSERT_TRUE(session.has_value()) << session.error().message;
  auto all = (*session)->step(text, Rows::All);
  ASSERT_TRUE(all.has_value()) << all.error().message;
  EXPECT_LT(error(ReferenceModel(path).logits(text), *all), 1e-9);
}

/// The values that a format gives a matrix, by encoding and reference decode.
void quantize(const std::string &spec, std::vector<float> &values, int64_t columns) {
  auto catalog = Catalog::open(*dataDirectory());
  auto format = (*catalog)->format(spec);
  ASSERT_TRUE(format.has_value()) << format.error().message;
  int64_t rows = values.size() / columns;
  auto fields = encode(**format, values, rows, columns);
  ASSERT_TRUE(fields.has_value()) << fields.error().message;
  ASSERT_TRUE(decode(**format, *fields, rows, columns, values.data()).has_value());
}

class CompiledFormat : public testing::TestWithParam<Case> {};

// Activations in f32: only rounding of f32 sums differs from the reference on the decoded weights, and keys and values
// that it moves over the edge between two f16 numbers. In int8: their error.
TEST_P(CompiledFormat, GivesTheLogitsOfTheDecodedWeights) {
  const std::string spec = GetParam().name, sizes = GetParam().arguments;
  auto path = makeModel("formats" + sizes, "--arch llama " + sizes);
  auto change = [&](const std::string &, std::vector<float> &values, int64_t columns) {
    quantize(spec, values, columns);
  };
  expectLogits(compile({.model = path, .format = spec, .precision = Precision::Exact}), ReferenceModel(path, change),
               1e-8);
  expectLogits(compile({.model = path, .format = spec, .precision = Precision::Fast}), ReferenceModel(path, change),
               1e-3);
}

const char *const wide = "--hidden 256 --ffn 512"; // whole groups of 128, whole blocks of 256

INSTANTIATE_TEST_SUITE_P(Formats, CompiledFormat,
                         testing::Values(Case{"f16", ""}, Case{"bf16", ""}, Case{"q8_0", ""}, Case{"q4_0", ""},
                                         Case{"q4_1", ""}, Case{"int:4:g32:asym", ""}, Case{"nf4", "--ffn 128"},
                                         Case{"int:4:g128:asym", wide}, Case{"q4_k", wide}, Case{"q6_k", wide}),
                         [](const auto &info) {
                           std::string name = info.param.name;
                           std::ranges::replace(name, ':', '_');
                           return name;
                         });

TEST(Compile, TheSameInputsGiveTheSameBytes) {
  auto path = makeModel("same", "--arch llama");
  std::string first, second;
  for (std::string *text : {&first, &second}) {
    CompileOptions options = {.model = path, .output = path.string() + ".qm", .format = "q8_0"};
    options.threads = text == &first ? 1 : 3;
    ASSERT_TRUE(compileModel(options).has_value());
    *text = *readText(options.output);
  }
  EXPECT_EQ(first, second);
}

TEST(Compile, SaysWhatIsWrong) {
  auto path = makeModel("wrong", "--arch llama");
  auto message = [&](CompileOptions options) {
    options.model = path;
    options.output = path.string() + ".wrong.qm";
    auto report = compileModel(options);
    EXPECT_FALSE(report.has_value());
    EXPECT_FALSE(std::filesystem::exists(options.output));
    return report ? "" : report.error().message;
  };
  EXPECT_THAT(message({.format = "ghost"}), testing::HasSubstr("ghost"));
  // 64 columns are no block of 256.
  EXPECT_THAT(message({.format = "q4_k"}), testing::HasSubstr("token_embd"));
  EXPECT_THAT(message({.policy = "ghost"}), testing::HasSubstr("ghost"));
  EXPECT_THAT(message({.targets = {"ghost"}}), testing::HasSubstr("ghost"));
  // One 'absmax' for 64 weights on end: rows of 96 would share them.
  EXPECT_THAT(message({.format = "nf4"}), testing::HasSubstr("96 columns are no multiple of 64"));
  path = makeModel("no-fast-kernel", "--arch llama --ffn 128");
  EXPECT_THAT(message({.format = "f16", .requireFast = true}), testing::HasSubstr("has no fast kernel"));
  // Whatever ends code generation, the compiler lives.
  EXPECT_THAT(message({.codeLimits = {.bytes = 1 << 20}}), testing::HasSubstr("code generation for "));
}

} // namespace
