//===- RuntimeFuzzer.cpp - hostile calls of the C API -----------------------------------------------------------===//
//
// The input is a tree: the options of a session on the toy model of the runtime's tests, and calls of it.
//
//===------------------------------------------------------------------------------------------------------------===//

#include "FuzzFiles.h"
#include "Runtime/ToyArtifact.h"
#include "quantc-c/quantc.h"
#include <algorithm>
#include <cmath>
#include <set>

using namespace fuzz;
using quantc::toy::vocab;

static const ordered_json &seed() {
  static const ordered_json tree = ordered_json::parse(R"({"target": "plain", "context": 64, "chunk": 8, "threads": 1,
    "memory_limit": 0, "size": 0, "calls": [{"step": [1, 2, 3], "all": true}, {"rewind": 1}, {"prefill": [4, 5, 6, 7, 8, 9, 10, 11, 12]},
    {"generate": [1, 2, 3], "max_tokens": 5, "temperature": 0.8, "top_k": 4, "top_p": 0.9, "min_p": 0.05,
     "repetition_penalty": 1.1, "penalty_window": 4, "seed": 7, "stop": [3], "ignore_end": true, "cancel": 3}]})");
  return tree;
}

template <typename T> static T number(const ordered_json &tree, const char *key, T absent) {
  const auto found = tree.find(key);
  if (found == tree.end() || !found->is_number())
    return absent;
  if constexpr (std::is_floating_point_v<T>)
    return found->get<T>();
  return found->is_number_integer() ? found->get<T>() : absent;
}

static std::vector<int32_t> tokens(const ordered_json &tree, const char *key) {
  std::vector<int32_t> all;
  if (const auto found = tree.find(key); found != tree.end() && found->is_array())
    for (const ordered_json &token : *found)
      all.push_back(token.is_number_integer() ? static_cast<int32_t>(token.get<int64_t>()) : 0);
  return all;
}

/// Its message is one line, whatever the status.
static bool good(quantc_status status, const quantc_error &error) {
  const size_t length = ::strnlen(error.message, sizeof error.message);
  if (status != QUANTC_OK && (length == 0 || length == sizeof error.message || std::strchr(error.message, '\n')))
    report("not one line: " + std::string(error.message, length));
  return status == QUANTC_OK;
}

static void useLogits(const float *logits, size_t rows) {
  for (size_t i = 0; i < rows * vocab; i++)
    if (!std::isfinite(logits[i]))
      report("a logit is not finite");
}

static void generate(quantc_session *session, const ordered_json &call) {
  const auto prompt = tokens(call, "generate"), stop = tokens(call, "stop");
  quantc_generate_options options = quantc_generate_options_default();
  options.size -= number<size_t>(call, "size", 0);
  options.max_tokens = number(call, "max_tokens", options.max_tokens);
  options.temperature = number(call, "temperature", options.temperature);
  options.top_k = number(call, "top_k", options.top_k);
  options.top_p = number(call, "top_p", options.top_p);
  options.min_p = number(call, "min_p", options.min_p);
  options.repetition_penalty = number(call, "repetition_penalty", options.repetition_penalty);
  options.penalty_window = number(call, "penalty_window", options.penalty_window);
  options.seed = number(call, "seed", options.seed);
  options.stop_tokens = stop.data();
  options.stop_count = stop.size();
  options.ignore_end = call.value("ignore_end", ordered_json()) == true;
  int64_t left = std::max<int64_t>(0, number<int64_t>(call, "cancel", 100));
  const auto count = [](void *user, int32_t token) {
    if (token < 0 || token >= vocab)
      report("a token outside of the vocabulary");
    return --*static_cast<int64_t *>(user) > 0;
  };
  quantc_generation result{};
  result.size = sizeof result;
  quantc_error error{};
  good(quantc_generate(session, prompt.data(), prompt.size(), &options, count, &left, &result, &error), error);
}

static void use(quantc_session *session, const ordered_json &call) {
  if (!call.is_object())
    return;
  quantc_error error{};
  const float *logits = nullptr;
  if (const auto step = tokens(call, "step"); call.contains("step")) {
    const bool all = call.value("all", ordered_json()) == true;
    if (good(quantc_session_step(session, step.data(), step.size(), all, &logits, &error), error))
      useLogits(logits, all ? step.size() : 1);
  }
  if (const auto prompt = tokens(call, "prefill"); call.contains("prefill"))
    if (good(quantc_session_prefill(session, prompt.data(), prompt.size(), &logits, &error), error))
      useLogits(logits, 1);
  if (call.contains("rewind"))
    good(quantc_session_rewind(session, number<int64_t>(call, "rewind", 0), &error), error);
  if (call.contains("generate"))
    generate(session, call);
  if (quantc_session_past(session) > quantc_session_context(session) || quantc_session_past(session) < 0)
    report("more positions than the context has");
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const std::string path = quantc::toy::write(quantc::toy::manifest());
  static quantc_model *const model = [] {
    quantc_model *loaded = nullptr;
    if (quantc_model_load(path.c_str(), nullptr, &loaded, nullptr) != QUANTC_OK)
      report("the toy model does not load");
    return loaded;
  }();
  const ordered_json tree = treeOf(data, size);
  if (!tree.is_object())
    return -1;
  quantc_error error{};
  static std::set<std::string> targets; // that were tried: nothing else of an input has a say in loading
  if (tree.contains("target") && tree["target"].is_string() &&
      targets.insert(tree["target"].get<std::string>()).second) {
    quantc_model *other = nullptr;
    good(quantc_model_load(path.c_str(), tree["target"].get<std::string>().c_str(), &other, &error), error);
    quantc_model_free(other);
  }
  quantc_session_options options = quantc_session_options_default();
  options.size -= number<size_t>(tree, "size", 0);
  options.context = number(tree, "context", options.context);
  options.chunk = number(tree, "chunk", options.chunk);
  // Hundreds of threads are allowed, but slow to start; so is a second one.
  const auto threads = number<uint32_t>(tree, "threads", 1);
  options.threads = threads > 100'000 ? threads : 1 + (threads % 16 == 2);
  options.memory_limit = 1 + number<uint64_t>(tree, "memory_limit", 0) % (1 << 20);
  quantc_session *session = nullptr;
  if (!good(quantc_session_create(model, &options, &session, &error), error))
    return 0;
  if (tree.contains("calls") && tree["calls"].is_array())
    for (const ordered_json &call : tree["calls"])
      use(session, call);
  quantc_session_free(session);
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t maxSize, unsigned random) {
  return mutateTree(data, size, maxSize, random, seed());
}
