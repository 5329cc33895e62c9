#include "ToyArtifact.h"
#include "quantc-c/quantc.h"
#include <algorithm>
#include <cstdio>
#include <gmock/gmock.h>
#include <thread>

using namespace quantc;

namespace {

struct ModelFree {
  void operator()(quantc_model *model) const { quantc_model_free(model); }
};
struct SessionFree {
  void operator()(quantc_session *session) const { quantc_session_free(session); }
};
using ModelPointer = std::unique_ptr<quantc_model, ModelFree>;
using SessionPointer = std::unique_ptr<quantc_session, SessionFree>;

ModelPointer load() {
  quantc_model *model = nullptr;
  quantc_error error;
  EXPECT_EQ(quantc_model_load(toy::write(toy::manifest()).c_str(), nullptr, &model, &error), QUANTC_OK)
      << error.message;
  return ModelPointer(model);
}

SessionPointer open(quantc_model *model, uint32_t threads = 1) {
  quantc_session_options options = quantc_session_options_default();
  options.threads = threads;
  quantc_session *session = nullptr;
  quantc_error error;
  EXPECT_EQ(quantc_session_create(model, &options, &session, &error), QUANTC_OK) << error.message;
  return SessionPointer(session);
}

std::vector<float> expected(std::span<const int32_t> tokens) {
  const auto logits = toy::expectedLogits(tokens);
  return {logits.begin(), logits.end()};
}

} // namespace

TEST(CApi, LoadsAndInspects) {
  const ModelPointer model = load();
  EXPECT_EQ(quantc_api_version(), QUANTC_API_VERSION);
  EXPECT_EQ(quantc_model_context(model.get()), toy::context);
  EXPECT_EQ(quantc_model_vocab(model.get()), toy::vocab);
  EXPECT_STREQ(quantc_model_target(model.get()), "plain");
  EXPECT_EQ(nlohmann::json::parse(quantc_model_manifest(model.get()))["tool"], "toy");
}

TEST(CApi, StepsPrefillsAndRewinds) {
  const ModelPointer model = load();
  const SessionPointer session = open(model.get());
  const int32_t tokens[] = {3, 1, 4, 1};
  const float *logits = nullptr;
  ASSERT_EQ(quantc_session_step(session.get(), tokens, 2, true, &logits, nullptr), QUANTC_OK);
  EXPECT_EQ(std::vector<float>(logits, logits + toy::vocab), expected({tokens, 1}));
  EXPECT_EQ(std::vector<float>(logits + toy::vocab, logits + 2 * toy::vocab), expected({tokens, 2}));
  ASSERT_EQ(quantc_session_prefill(session.get(), tokens + 2, 2, &logits, nullptr), QUANTC_OK);
  EXPECT_EQ(std::vector<float>(logits, logits + toy::vocab), expected(tokens));
  EXPECT_EQ(quantc_session_past(session.get()), 4);
  ASSERT_EQ(quantc_session_rewind(session.get(), 1, nullptr), QUANTC_OK);
  EXPECT_EQ(quantc_session_past(session.get()), 1);
}

TEST(CApi, Generates) {
  const ModelPointer model = load();
  const SessionPointer session = open(model.get());
  quantc_generate_options options = quantc_generate_options_default();
  options.max_tokens = 5;
  options.ignore_end = true;
  quantc_generation result{};
  result.size = sizeof result;
  std::vector<int32_t> drawn;
  const auto collect = [](void *user, int32_t token) {
    static_cast<std::vector<int32_t> *>(user)->push_back(token);
    return true;
  };
  const int32_t prompt[] = {3, 1, 4};
  quantc_error error;
  ASSERT_EQ(quantc_generate(session.get(), prompt, 3, &options, collect, &drawn, &result, &error), QUANTC_OK)
      << error.message;
  EXPECT_EQ(drawn.size(), 5u);
  EXPECT_EQ(result.tokens, 5);
  EXPECT_EQ(result.reason, QUANTC_STOP_MAX_TOKENS);
  EXPECT_GT(result.decode_tokens_per_second, 0);
}

TEST(CApi, ReportsErrors) {
  quantc_error error;
  quantc_model *missing = nullptr;
  EXPECT_EQ(quantc_model_load("/nowhere.qm", nullptr, &missing, &error), QUANTC_FAILED);
  EXPECT_THAT(error.message, ::testing::StartsWith("/nowhere.qm: cannot open"));
  EXPECT_EQ(missing, nullptr);
  EXPECT_EQ(quantc_model_load(nullptr, nullptr, &missing, &error), QUANTC_INVALID_ARGUMENT);
  EXPECT_STREQ(error.message, "path is NULL");
  EXPECT_EQ(quantc_model_load("/nowhere.qm", nullptr, &missing, nullptr), QUANTC_FAILED);

  const ModelPointer model = load();
  const SessionPointer session = open(model.get());
  const float *logits = nullptr;
  const int32_t wrong = 1000;
  EXPECT_EQ(quantc_session_step(session.get(), &wrong, 1, false, &logits, &error), QUANTC_FAILED);
  EXPECT_STREQ(error.message, "token 1000 is outside the vocabulary of 32 tokens");
  EXPECT_EQ(quantc_session_step(session.get(), nullptr, 7, false, &logits, &error), QUANTC_FAILED);
  EXPECT_EQ(quantc_generate(session.get(), nullptr, 0, nullptr, nullptr, nullptr, nullptr, &error), QUANTC_FAILED);
}

TEST(CApi, LoadsOnADevice) {
  quantc_model *model = nullptr;
  quantc_error error;
  const std::string path = toy::write(toy::manifest()).string();
  quantc_load_options options = quantc_load_options_default();
  EXPECT_EQ(quantc_model_load_with(path.c_str(), &options, &model, &error), QUANTC_OK);
  quantc_model_free(model);
  EXPECT_EQ(quantc_model_load_with(path.c_str(), nullptr, &model, &error), QUANTC_OK);
  quantc_model_free(model);
  options.device = QUANTC_DEVICE_CUDA;
  options.cuda_library = "no-such-driver.so";
  EXPECT_EQ(quantc_model_load_with(path.c_str(), &options, &model, &error), QUANTC_FAILED);
  EXPECT_THAT(error.message, ::testing::HasSubstr("holds no code for GPUs; it has plain"));
  options.device = 7;
  EXPECT_EQ(quantc_model_load_with(path.c_str(), &options, &model, &error), QUANTC_INVALID_ARGUMENT);
  EXPECT_EQ(model, nullptr);
}

TEST(CApi, MessagesAreOneLine) {
  quantc_model *model = nullptr;
  quantc_error error;
  EXPECT_EQ(quantc_model_load(toy::write(toy::manifest()).c_str(), "x\n\ty", &model, &error), QUANTC_FAILED);
  EXPECT_THAT(std::string(error.message), ::testing::HasSubstr("holds no code for x  y"));
}

TEST(CApi, LongMessagesAreCut) {
  quantc_error error;
  quantc_model *model = nullptr;
  EXPECT_EQ(quantc_model_load(("/" + std::string(2000, 'x')).c_str(), nullptr, &model, &error), QUANTC_FAILED);
  EXPECT_EQ(std::string_view(error.message).size(), sizeof error.message - 1);
}

TEST(CApi, StructsAreVersioned) {
  const ModelPointer model = load();
  quantc_session *session = nullptr;
  quantc_error error;
  quantc_session_options options = quantc_session_options_default();
  options.size = sizeof options + 8; // of a newer header
  EXPECT_EQ(quantc_session_create(model.get(), &options, &session, &error), QUANTC_INVALID_ARGUMENT);
  options.size = 0;
  EXPECT_EQ(quantc_session_create(model.get(), &options, &session, &error), QUANTC_INVALID_ARGUMENT);
  // Of an older header, which ended before `chunk`: what follows is not read.
  options.size = offsetof(quantc_session_options, chunk);
  options.context = 32;
  options.chunk = -1;
  ASSERT_EQ(quantc_session_create(model.get(), &options, &session, &error), QUANTC_OK) << error.message;
  EXPECT_EQ(quantc_session_context(session), 32);
  EXPECT_EQ(quantc_session_chunk(session), 32);
  quantc_session_free(session);
}

TEST(CApi, SessionsKeepTheirModelAndRunSideBySide) {
  ModelPointer model = load();
  SessionPointer sessions[] = {open(model.get()), open(model.get(), 2), open(model.get(), 2)};
  model.reset();
  std::vector<std::thread> threads;
  for (const SessionPointer &session : sessions)
    threads.emplace_back([&session] {
      std::vector<int32_t> tokens;
      for (int32_t i = 0; i < 100; ++i) {
        tokens.push_back(i % toy::vocab);
        const float *logits = nullptr;
        ASSERT_EQ(quantc_session_step(session.get(), &tokens.back(), 1, false, &logits, nullptr), QUANTC_OK);
        ASSERT_EQ(std::vector<float>(logits, logits + toy::vocab), expected(tokens));
      }
    });
  for (std::thread &thread : threads)
    thread.join();
}

// examples/c/generate.c, as a user runs it.
TEST(CApi, ExampleGenerates) {
  const auto run = [](const std::string &arguments) {
    std::string output;
    FILE *pipe = ::popen((QUANTC_EXAMPLE_GENERATE " " + arguments + " 2>&1").c_str(), "r");
    for (int c; pipe && (c = std::fgetc(pipe)) != EOF;)
      output += static_cast<char>(c);
    return std::pair(pipe ? ::pclose(pipe) : -1, output);
  };
  auto manifest = toy::manifest();
  manifest["model"]["eos"] = nlohmann::json::array();
  std::vector<int32_t> sequence = {3, 14, 15, 9};
  std::string drawn;
  for (int i = 0; i < 4; ++i) {
    const auto logits = toy::expectedLogits(sequence);
    sequence.push_back(static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin()));
    drawn += std::to_string(sequence.back()) + " ";
  }
  const auto [status, output] = run(toy::write(manifest).string() + " 4 3 14 15 9");
  EXPECT_EQ(status, 0);
  EXPECT_THAT(output, ::testing::StartsWith(drawn + "\ncode of plain; prompt "));

  const auto [failure, message] = run("/nowhere.qm 4 1");
  EXPECT_NE(failure, 0);
  EXPECT_THAT(message, ::testing::StartsWith("/nowhere.qm: cannot open"));
}

TEST(CApi, FreeTakesNull) {
  quantc_model_free(nullptr);
  quantc_session_free(nullptr);
}
