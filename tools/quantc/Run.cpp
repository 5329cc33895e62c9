//===- Run.cpp - quantc run: text from a model ------------------------------------------------------------------===//

#include "Command.h"
#include "Runnable.h"
#include "quantc/Runtime/Generator.h"
#include <algorithm>
#include <iostream>

using namespace quantc;
namespace fs = std::filesystem;

namespace {
struct RunOptions {
  RunnableOptions model;
  std::string prompt;
  std::vector<int32_t> promptIds;
  std::vector<std::string> stops;
  int64_t tokens = 128, context = 0;
  SamplingOptions sampling;
  bool ignoreEnd = false;
  fs::path draft; ///< a smaller model that guesses tokens
  bool lookup = false;
  int64_t draftTokens = 8;
};

/// The text so far, held back where a stop text may have begun.
class Output {
public:
  Output(const Tokenizer *tokenizer, const std::vector<std::string> &stops, bool print)
      : tokenizer(tokenizer), stops(stops), print(print) {}

  /// False where a stop text is complete.
  bool add(int32_t token) {
    text += tokenizer ? tokenizer->piece(token) : fmt::format("{} ", token);
    for (const std::string &stop : stops)
      if (size_t at = text.find(stop, printed); !stop.empty() && at != std::string::npos) {
        text.resize(at);
        return false;
      }
    size_t safe = text.size();
    for (const std::string &stop : stops)
      for (size_t n = std::min(stop.size(), text.size() - printed); n > 0; n--)
        if (std::string_view(text).ends_with(std::string_view(stop).substr(0, n)))
          safe = std::min(safe, text.size() - n);
    flush(safe);
    return true;
  }
  void finish() { flush(text.size()); }

  std::string text;

private:
  void flush(size_t end) {
    if (print)
      std::cout << std::string_view(text).substr(printed, end - printed) << std::flush;
    printed = std::max(printed, end);
  }
  const Tokenizer *tokenizer;
  const std::vector<std::string> &stops;
  bool print;
  size_t printed = 0;
};

/// What guesses tokens; null where nothing does.
Result<std::unique_ptr<Drafter>> createDrafter(const Globals &globals, const RunOptions &options, const Model &model) {
  if (options.lookup)
    return std::make_unique<PromptLookup>();
  if (options.draft.empty())
    return std::unique_ptr<Drafter>();
  RunnableOptions draft;
  draft.compile.model = options.draft;
  draft.device = options.model.device;
  draft.cudaLibrary = options.model.cudaLibrary;
  QUANTC_ASSIGN(auto smaller, openRunnable(draft, globals));
  const int64_t context = std::min(options.context, smaller->context());
  QUANTC_ASSIGN(auto session, Session::create(std::move(smaller), {.context = context, .threads = globals.threads}));
  return DraftModel::create(std::move(session), model);
}

Status run(const Globals &globals, const RunOptions &options) {
  QUANTC_ASSIGN(auto model, openRunnable(options.model, globals));
  auto tokenizer = loadTokenizer(options.model.compile.model);
  if (!tokenizer && options.promptIds.empty())
    return tl::unexpected(tokenizer.error());
  std::vector<int32_t> prompt = options.promptIds;
  if (prompt.empty()) {
    QUANTC_ASSIGN(prompt, (*tokenizer)->encode(options.prompt));
  }
  if (prompt.empty())
    return fail(
        "the prompt is empty, and this model has no token that begins a text: give one by --prompt or --prompt-ids");

  QUANTC_ASSIGN(auto session, Session::create(model, {.context = options.context, .threads = globals.threads}));
  Output output(tokenizer ? tokenizer->get() : nullptr, options.stops, !globals.json);
  QUANTC_ASSIGN(const std::unique_ptr<Drafter> drafter, createDrafter(globals, options, *model));
  GenerateOptions generation{.maxTokens = options.tokens,
                             .sampling = options.sampling,
                             .ignoreEnd = options.ignoreEnd,
                             .drafter = drafter.get(),
                             .draftTokens = options.draftTokens};
  QUANTC_ASSIGN(Generation made,
                generate(*session, prompt, generation, [&](int32_t token) { return output.add(token); }));
  output.finish();
  Json json = {{"text", output.text},
               {"tokens", made.tokens},
               {"prompt_tokens", made.promptTokens},
               {"prefill_tps", made.prefillTokensPerSecond()},
               {"decode_tps", made.decodeTokensPerSecond()},
               {"stop", toString(made.reason)}};
  if (drafter) {
    json["drafted"] = made.draftedTokens;
    json["accepted"] = made.acceptedTokens;
    json["passes"] = made.decodeSteps;
  }
  printResult(globals, json, "");
  if (globals.verbose && drafter)
    fmt::print(stderr, "{} of {} guessed tokens accepted, {} passes for {} tokens\n", made.acceptedTokens,
               made.draftedTokens, made.decodeSteps, made.decodeTokens);
  if (globals.verbose)
    fmt::print(stderr, "prefill {:.1f} tokens/s, decode {:.1f} tokens/s\n", made.prefillTokensPerSecond(),
               made.decodeTokensPerSecond());
  return {};
}
} // namespace

void quantc::addRun(CLI::App &app, Globals &globals, Action &chosen) {
  auto options = std::make_shared<RunOptions>();
  CLI::App *c = addCommand(
      app, globals, "run", "write text: the continuation of a prompt",
      "  quantc run model.qm -p \"Once upon a time\" -n 64\n"
      "  quantc run model.gguf -p \"Once\" --temp 0.8 --top-p 0.95 --seed 7\n"
      "  quantc run large.qm --draft small.qm -p \"Once upon a time\"",
      [&globals, options] { return run(globals, *options); }, chosen);
  addRunnable(c, options->model);
  auto *prompt = c->add_option_group("prompt");
  prompt->add_option("-p,--prompt", options->prompt, "the text to continue");
  prompt->add_option("--prompt-ids", options->promptIds, "token ids instead of a text: 1,2,3")->delimiter(',');
  prompt->require_option(1);
  c->add_option("-n,--n-predict", options->tokens, "the most tokens to write; 0: until the context is full")
      ->capture_default_str()
      ->check(CLI::Range(int64_t(0), int64_t(1) << 30));
  c->add_option("-c,--ctx", options->context, "positions of the KV cache; default: what the model was compiled for")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 30));
  c->add_option("--temp", options->sampling.temperature, "temperature; 0: always the most likely token")
      ->capture_default_str();
  c->add_option("--top-k", options->sampling.topK, "keep the k most likely tokens; 0: all")->capture_default_str();
  c->add_option("--top-p", options->sampling.topP, "keep the most likely tokens that sum to p")->capture_default_str();
  c->add_option("--min-p", options->sampling.minP, "keep tokens with this share of the best one's probability")
      ->capture_default_str();
  c->add_option("--repeat-penalty", options->sampling.repetitionPenalty, "above 1: repeat less")->capture_default_str();
  c->add_option("--seed", options->sampling.seed, "of the random numbers")->capture_default_str();
  c->add_option("--stop", options->stops, "a text that ends the output; may be given several times");
  auto *draft =
      c->add_option("--draft", options->draft, "a smaller model with the same tokenizer, which guesses tokens");
  c->add_flag("--lookup", options->lookup, "guess tokens by what followed the same ones before")->excludes(draft);
  c->add_option("--draft-tokens", options->draftTokens, "the most tokens guessed at a time; the text is the same")
      ->capture_default_str()
      ->check(CLI::Range(1, 256));
  c->add_flag("--ignore-eos", options->ignoreEnd, "go on after the model's end token");
}
