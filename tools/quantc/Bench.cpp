//===- Bench.cpp - quantc bench: speed of a model, beside what the memory gives ---------------------------------===//

#include "Command.h"
#include "Runnable.h"
#include "quantc/Runtime/Measure.h"
#include "quantc/Runtime/Speed.h"
#include <algorithm>
#include <chrono>
#include <cmath>

using namespace quantc;

namespace {
struct Options {
  RunnableOptions model;
  int64_t prompt = 512, tokens = 64, rounds = 3, context = 0;
  std::vector<int64_t> batches; ///< sequences that are decoded at once
};

double seconds(const std::function<Status()> &work, Status &status) {
  auto began = std::chrono::steady_clock::now();
  status = work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

/// Fails where the last sequence gets other logits than alone for its last token. Kernels of a processor give the same
/// bits; those of a GPU for other numbers of tokens round elsewhere.
Status checkLast(Session &session, const std::vector<SequenceTokens> &parts) {
  for (const SequenceTokens &part : parts)
    QUANTC_TRY(session.rewind(session.past(part.sequence) - 1, part.sequence));
  QUANTC_ASSIGN(const auto together, session.stepSequences(parts));
  const std::vector<float> last(together.end() - session.model().vocab(), together.end());
  const auto &[sequence, tokens] = parts.back();
  QUANTC_TRY(session.rewind(session.past(sequence) - 1, sequence));
  QUANTC_ASSIGN(const auto alone, session.prefill(tokens, sequence));
  double error = 0, square = 0;
  for (size_t i = 0; i < last.size(); i++) {
    error += std::pow(last[i] - alone[i], 2);
    square += std::pow(alone[i], 2);
  }
  if (error > (session.model().onDevice() ? 1e-4 * square : 0))
    return fail("{} sequences: the last one has other logits than alone", parts.size());
  return {};
}

/// Tokens/s of all sequences together, the median of the rounds: each continues a prompt of its own. Fails where a
/// sequence gets other logits than alone. Of a GPU that has all layers only the largest logits come back, of which a
/// sampler draws.
Result<double> decodeTogether(const std::shared_ptr<const Model> &model, const Globals &globals, const Options &options,
                              int64_t sequences) {
  const int64_t context = std::max<int64_t>({options.prompt + options.tokens, options.context, 16});
  QUANTC_ASSIGN(auto session,
                Session::create(model, {.context = context, .threads = globals.threads, .sequences = sequences}));
  const int64_t each = options.prompt + options.tokens;
  const auto tokens = someTokens(each + sequences, model->vocab());
  std::vector<double> speeds;
  for (int64_t round = 0; round < options.rounds; round++) {
    session->reset();
    for (int64_t s = 0; s < sequences && options.prompt > 0; s++)
      QUANTC_TRY(session->prefill(std::span(tokens).subspan(s, options.prompt), s));
    std::vector<SequenceTokens> parts;
    Status status;
    const double time = seconds(
        [&]() -> Status {
          for (int64_t i = options.prompt; i < each; i++) {
            parts.clear();
            for (int64_t s = 0; s < sequences; s++)
              parts.push_back({s, std::span(tokens).subspan(s + i, 1)});
            if (session->topLogits() > 0)
              QUANTC_TRY(session->stepTop(parts));
            else
              QUANTC_TRY(session->stepSequences(parts));
          }
          return {};
        },
        status);
    QUANTC_TRY(status);
    speeds.push_back(double(options.tokens * sequences) / time);
    if (round == 0)
      QUANTC_TRY(checkLast(*session, parts));
  }
  return medianOf(std::move(speeds));
}

Status runBatches(const Globals &globals, const Options &options, const std::shared_ptr<const Model> &model) {
  if (options.tokens == 0)
    return fail("--batch times decoding; -n 0 leaves nothing of it");
  Json rows = Json::array();
  std::string text;
  for (int64_t sequences : options.batches) {
    QUANTC_ASSIGN(const double speed, decodeTogether(model, globals, options, sequences));
    rows.push_back({{"sequences", sequences}, {"decode_tps", speed}});
    text += fmt::format("{}{} sequences: {:.1f} tokens/s", text.empty() ? "" : "\n", sequences, speed);
  }
  printResult(globals, {{"batches", rows}, {"target", model->target()}}, text);
  return {};
}

Status run(const Globals &globals, const Options &options) {
  QUANTC_ASSIGN(auto model, openRunnable(options.model, globals));
  if (!options.batches.empty())
    return runBatches(globals, options, model);
  const int64_t used = options.prompt + options.tokens;
  if (options.context > 0 && options.context < used)
    return fail("{} tokens of the prompt and {} decoded ones do not fit into a context of {}; raise -c", options.prompt,
                options.tokens, options.context);
  const int64_t context = std::max<int64_t>({used, options.context, 16});
  QUANTC_ASSIGN(auto session, Session::create(model, {.context = context, .threads = globals.threads}));
  QUANTC_ASSIGN(const Speed speed, measureSpeed(*session, options.prompt, options.tokens, options.rounds));
  const auto &[prefill, decode] = speed;
  const bool onGPU = model->stagesOnDevice() == model->program().allStages();
  const uint64_t bytes = weightBytes(*model);
  Json json = {{"prefill_tps", medianOf(prefill)},
               {"decode_tps", medianOf(decode)},
               {"threads", session->threads()},
               {"bytes_per_token", bytes},
               {"target", model->target()},
               {"prefill_all", prefill},
               {"decode_all", decode}};
  std::string text =
      fmt::format("prefill {:.1f} tokens/s ({} tokens), decode {:.1f} tokens/s ({} tokens), {}\n{:.1f} MB of weights",
                  medianOf(prefill), options.prompt, medianOf(decode), options.tokens,
                  onGPU ? model->target() : fmt::format("{} threads, {}", session->threads(), model->target()),
                  double(bytes) / 1e6);
  QUANTC_ASSIGN(const double bandwidth, weightBandwidth(*model, globals.threads));
  const double share = medianOf(decode) * double(bytes) / bandwidth;
  json[onGPU ? "copy_bandwidth_bytes_s" : "read_bandwidth_bytes_s"] = bandwidth;
  json["decode_bandwidth_share"] = share;
  text += fmt::format("; reading them at the measured {:.1f} GB/s{} would give {:.1f} tokens/s: {:.0f} % of it reached",
                      bandwidth / 1e9, onGPU ? " of a copy" : "", bandwidth / double(bytes), 100 * share);
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
  c->add_option("--batch", options->batches,
                "only decoding, of so many sequences at once, tokens/s of all together: 1,2,4")
      ->delimiter(',')
      ->check(CLI::Range(1, 1024));
  addNotYet(c, {"--draft"});
}
