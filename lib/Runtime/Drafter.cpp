//===- Drafter.cpp - guesses of how a sequence goes on ----------------------------------------------------------===//

#include "quantc/Runtime/Drafter.h"
#include <algorithm>

using namespace quantc;
using Tokens = std::vector<int32_t>;

Result<Tokens> PromptLookup::propose(std::span<const int32_t> sequence, int64_t count) {
  for (size_t length = std::min(longest, sequence.size() - 1); length >= shortest; length--) {
    const auto ending = sequence.last(length);
    // The ending itself is no occurrence.
    const auto found = std::ranges::find_end(sequence.first(sequence.size() - 1), ending);
    if (!found.empty()) {
      const auto after = sequence.subspan(static_cast<size_t>(found.end() - sequence.begin()));
      return Tokens(after.begin(), after.begin() + std::min<ptrdiff_t>(count, std::ssize(after)));
    }
  }
  return Tokens();
}

Result<std::unique_ptr<DraftModel>> DraftModel::create(std::unique_ptr<Session> session, const Model &target) {
  if (session->model().vocab() != target.vocab())
    return fail("the draft model has {} tokens, the model {}: both must have the same tokenizer",
                session->model().vocab(), target.vocab());
  return std::unique_ptr<DraftModel>(new DraftModel(std::move(session)));
}

Result<Tokens> DraftModel::propose(std::span<const int32_t> sequence, int64_t count) {
  Tokens drafted;
  count = std::min(count, session->context() - std::ssize(sequence));
  if (count <= 0)
    return drafted;
  const auto [end, unused] = std::ranges::mismatch(sequence.first(sequence.size() - 1), session->tokens());
  QUANTC_TRY(session->rewind(end - sequence.begin()));
  QUANTC_ASSIGN(auto logits, session->prefill(sequence.subspan(static_cast<size_t>(session->past()))));
  while (true) {
    drafted.push_back(static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin()));
    if (std::ssize(drafted) == count)
      return drafted;
    QUANTC_ASSIGN(logits, session->step({&drafted.back(), 1}));
  }
}
