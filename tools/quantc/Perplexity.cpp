//===- Perplexity.cpp - quantc perplexity: how well a model predicts a text -------------------------------------===//

#include "Command.h"
#include "Runnable.h"
#include "quantc/Driver/Evaluation.h"
#include "quantc/Driver/Progress.h"

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
  std::shared_ptr<const Model> reference;
  if (!options.reference.compile.model.empty()) {
    QUANTC_ASSIGN(reference, openRunnable(options.reference, globals));
  }
  Progress progress("perplexity", globals.json);
  const EvaluationOptions evaluation{.text = options.text,
                                     .context = options.context,
                                     .chunks = options.chunks,
                                     .threads = globals.threads,
                                     .progress = [&](int64_t done, int64_t total, double sofar) {
                                       progress.update(uint64_t(done), uint64_t(total), fmt::format("{:.4f}", sofar));
                                     }};
  QUANTC_ASSIGN(const Perplexity result, evaluate(model, *tokenizer, evaluation, reference));
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
                "a model whose predictions are the truth: KL divergence and agreement with it; runs on the processor");
}
