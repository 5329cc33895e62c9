//===- Evaluation.cpp - how well a model predicts a text --------------------------------------------------------===//

#include "quantc/Driver/Evaluation.h"
#include "quantc/Support/Files.h"

using namespace quantc;

Result<Perplexity> quantc::evaluate(const std::shared_ptr<const Model> &model, const Tokenizer &tokenizer,
                                    const EvaluationOptions &options, const std::shared_ptr<const Model> &reference) {
  QUANTC_ASSIGN(const std::string text, readText(options.text, uint64_t(1) << 30));
  QUANTC_ASSIGN(auto tokens, tokenizer.encode(text, {.parseSpecial = false}));
  if (options.chunks > 0 && tokens.size() > size_t(options.chunks * options.context))
    tokens.resize(size_t(options.chunks * options.context));
  const SessionOptions sessions{.context = options.context, .chunk = options.context, .threads = options.threads};
  QUANTC_ASSIGN(auto session, Session::create(model, sessions));
  std::unique_ptr<Session> other;
  if (reference) {
    QUANTC_ASSIGN(other, Session::create(reference, sessions));
  }
  PerplexityOptions evaluation{.chunk = options.context, .progress = [&](int64_t done, int64_t total, double sofar) {
                                 if (options.progress)
                                   options.progress(done, total, sofar);
                                 return true;
                               }};
  if (!tokenizer.model().prefix.empty())
    evaluation.bos = tokenizer.model().prefix.front();
  return perplexity(*session, tokens, evaluation, other.get());
}
