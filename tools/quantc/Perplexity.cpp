//===- Perplexity.cpp - quantc perplexity: how well a model predicts a text -------------------------------------===//

#include "Command.h"
#include "Runnable.h"
#include "quantc/Driver/Progress.h"
#include "quantc/Runtime/Evaluate.h"

using namespace quantc;

namespace {
struct Options {
  RunnableOptions model, reference;
  std::filesystem::path text;
  int64_t context = 512, chunks = 0;
};

Status run(const Globals &globals, const Options &options) {
  QUANTC_ASSIGN(auto model, openRunnable(options.model, globals));
  QUANTC_ASSIGN(auto tokenizer, loadTokenizer(options.model.compile.model));
  QUANTC_ASSIGN(std::string text, readText(options.text, uint64_t(1) << 30));
  QUANTC_ASSIGN(auto tokens, tokenizer->encode(text, {.parseSpecial = false}));
  const SessionOptions sessions{.context = options.context, .chunk = options.context, .threads = globals.threads};
  QUANTC_ASSIGN(auto session, Session::create(model, sessions));
  std::unique_ptr<Session> reference;
  if (!options.reference.compile.model.empty()) {
    QUANTC_ASSIGN(auto other, openRunnable(options.reference, globals));
    QUANTC_ASSIGN(reference, Session::create(other, sessions));
  }
  if (options.chunks > 0 && tokens.size() > size_t(options.chunks * options.context))
    tokens.resize(size_t(options.chunks * options.context));
  Progress progress("perplexity", globals.json);
  PerplexityOptions evaluation{.chunk = options.context, .progress = [&](int64_t done, int64_t total, double sofar) {
                                 progress.update(uint64_t(done), uint64_t(total), fmt::format("{:.4f}", sofar));
                                 return true;
                               }};
  if (!tokenizer->model().prefix.empty())
    evaluation.bos = tokenizer->model().prefix.front();
  QUANTC_ASSIGN(Perplexity result, perplexity(*session, tokens, evaluation, reference.get()));
  Json json = {{"perplexity", result.perplexity}, {"tokens", result.tokens}};
  std::string lines = fmt::format("perplexity {:.4f} over {} tokens", result.perplexity, result.tokens);
  if (result.klDivergence) {
    json["kl_divergence"] = *result.klDivergence;
    json["top1"] = *result.top1;
    lines += fmt::format("\nmean KL divergence {:.6g}, same most likely token {:.2f} %", *result.klDivergence,
                         *result.top1 * 100);
  }
  printResult(globals, json, lines);
  return {};
}
} // namespace

void quantc::addPerplexity(CLI::App &app, Globals &globals, Action &chosen) {
  auto options = std::make_shared<Options>();
  CLI::App *c = addCommand(
      app, globals, "perplexity", "how well a model predicts a text, and how far it is from a reference",
      "  quantc perplexity model.qm --text heldout.txt\n"
      "  quantc perplexity small.qm --text heldout.txt --reference full.qm",
      [&globals, options] { return run(globals, *options); }, chosen);
  addRunnable(c, options->model);
  c->add_option("--text", options->text, "the text")->required();
  c->add_option("-c,--ctx", options->context, "tokens of a chunk; the second half of each is scored")
      ->capture_default_str()
      ->check(CLI::Range(int64_t(4), int64_t(1) << 24));
  c->add_option("--chunks", options->chunks, "only the first chunks")->check(CLI::Range(int64_t(1), int64_t(1) << 30));
  c->add_option("--reference", options->reference.compile.model,
                "a model whose predictions are the truth: KL divergence and agreement with it");
}
