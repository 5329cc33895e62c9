//===- Bench.cpp - quantc bench: speed of a model, beside what the memory gives ---------------------------------===//

#include "Command.h"
#include "Runnable.h"
#include "quantc/Runtime/Measure.h"
#include "quantc/Runtime/Session.h"
#include <algorithm>
#include <chrono>

using namespace quantc;

namespace {
struct Options {
  RunnableOptions model;
  int64_t prompt = 512, tokens = 64, rounds = 3, context = 0;
};

/// Tokens that no model repeats to itself: a fixed sequence over the vocabulary.
std::vector<int32_t> someTokens(int64_t count, int64_t vocab) {
  std::vector<int32_t> tokens;
  for (uint64_t i = 0, s = 1; i < uint64_t(count); i++) {
    s = s * 6364136223846793005u + 1442695040888963407u;
    tokens.push_back(int32_t((s >> 33) % uint64_t(vocab)));
  }
  return tokens;
}

double seconds(const std::function<Status()> &work, Status &status) {
  auto began = std::chrono::steady_clock::now();
  status = work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

Status run(const Globals &globals, const Options &options) {
  QUANTC_ASSIGN(auto model, openRunnable(options.model, globals));
  const int64_t used = options.prompt + options.tokens;
  if (options.context > 0 && options.context < used)
    return fail("{} tokens of the prompt and {} decoded ones do not fit into a context of {}; raise -c", options.prompt,
                options.tokens, options.context);
  const int64_t context = std::max<int64_t>({used, options.context, 16});
  QUANTC_ASSIGN(auto session, Session::create(model, {.context = context, .threads = globals.threads}));
  const auto prompt = someTokens(options.prompt, model->vocab()), next = someTokens(options.tokens, model->vocab());
  std::vector<double> prefill, decode;
  for (int64_t round = 0; round < options.rounds; round++) {
    Status status;
    session->reset();
    if (options.prompt > 0) {
      double s = seconds(
          [&]() -> Status {
            QUANTC_TRY(session->prefill(prompt));
            return {};
          },
          status);
      QUANTC_TRY(status);
      prefill.push_back(double(options.prompt) / s);
    }
    double s = seconds(
        [&]() -> Status {
          for (int32_t token : next)
            QUANTC_TRY(session->step({&token, 1}));
          return {};
        },
        status);
    QUANTC_TRY(status);
    if (options.tokens > 0)
      decode.push_back(double(options.tokens) / s);
  }
  auto median = [](std::vector<double> v) {
    std::ranges::sort(v);
    return v.empty() ? 0 : v[v.size() / 2];
  };
  // A decoded token reads every weight but the embedding table once; of that it reads one row.
  const bool onGPU = model->onDevice() != nullptr;
  uint64_t bytes = 0;
  for (const WeightEntry &weight : model->manifest().weights)
    bytes += model->artifact().tensor(onGPU && weight.fragments ? weight.fragments->tensor : weight.tensor).size();
  Json json = {{"prefill_tps", median(prefill)},
               {"decode_tps", median(decode)},
               {"threads", session->threads()},
               {"bytes_per_token", bytes},
               {"target", model->target()},
               {"prefill_all", prefill},
               {"decode_all", decode}};
  std::string text =
      fmt::format("prefill {:.1f} tokens/s ({} tokens), decode {:.1f} tokens/s ({} tokens), {}\n{:.1f} MB of weights",
                  median(prefill), options.prompt, median(decode), options.tokens,
                  onGPU ? model->target() : fmt::format("{} threads, {}", session->threads(), model->target()),
                  double(bytes) / 1e6);
  if (!onGPU) {
    QUANTC_ASSIGN(auto pool, ThreadPool::create(globals.threads));
    QUANTC_ASSIGN(double bandwidth, readBandwidth(*pool, std::clamp<size_t>(8 * lastLevelCacheBytes(),
                                                                            size_t(256) << 20, size_t(1) << 30)));
    const double share = median(decode) * double(bytes) / bandwidth;
    json["read_bandwidth_bytes_s"] = bandwidth;
    json["decode_bandwidth_share"] = share;
    text += fmt::format("; reading them at the measured {:.1f} GB/s would give {:.1f} tokens/s: {:.0f} % of it reached",
                        bandwidth / 1e9, bandwidth / double(bytes), 100 * share);
  }
  printResult(globals, json, text);
  return {};
}
} // namespace

void quantc::addBench(CLI::App &app, Globals &globals, Action &chosen) {
  auto options = std::make_shared<Options>();
  CLI::App *c = addCommand(
      app, globals, "bench", "speed of prefill and decode, beside what the memory gives",
      "  quantc bench model.qm -p 512 -n 64 -t 2", [&globals, options] { return run(globals, *options); }, chosen);
  addRunnable(c, options->model);
  c->add_option("-p,--n-prompt", options->prompt, "tokens of the prompt")
      ->capture_default_str()
      ->check(CLI::Range(int64_t(0), int64_t(1) << 24));
  c->add_option("-n,--n-gen", options->tokens, "tokens to decode")
      ->capture_default_str()
      ->check(CLI::Range(int64_t(0), int64_t(1) << 24));
  c->add_option("-c,--ctx", options->context, "positions of the KV cache; default: those that are used")
      ->check(CLI::Range(int64_t(16), int64_t(1) << 24));
  c->add_option("-r,--repetitions", options->rounds, "rounds; medians are printed")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  addNotYet(c, {"--draft"});
}
