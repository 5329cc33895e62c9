//===- Run.cpp - quantc run: text from a model ------------------------------------------------------------------===//

#include "Command.h"
#include "Runnable.h"
#include "quantc/Runtime/Generator.h"
#include <algorithm>
#include <iostream>

using namespace quantc;

namespace {
struct RunOptions {
  RunnableOptions model;
  std::string prompt;
  std::vector<int32_t> promptIds;
  std::vector<std::string> stops;
  int64_t tokens = 128, context = 0;
  SamplingOptions sampling;
  bool ignoreEnd = false;
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
  GenerateOptions generation{.maxTokens = options.tokens, .sampling = options.sampling, .ignoreEnd = options.ignoreEnd};
  QUANTC_ASSIGN(Generation made,
                generate(*session, prompt, generation, [&](int32_t token) { return output.add(token); }));
  output.finish();
  Json json = {{"text", output.text},
               {"tokens", made.tokens},
               {"prompt_tokens", made.promptTokens},
               {"prefill_tps", made.prefillTokensPerSecond()},
               {"decode_tps", made.decodeTokensPerSecond()},
               {"stop", toString(made.reason)}};
  printResult(globals, json, "");
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
      "  quantc run model.gguf -p \"Once\" --temp 0.8 --top-p 0.95 --seed 7",
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
  c->add_flag("--ignore-eos", options->ignoreEnd, "go on after the model's end token");
}
