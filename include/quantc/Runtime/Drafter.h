//===- Drafter.h - guesses of how a sequence goes on ------------------------------------------------------------===//
//
// Speculative decoding: a drafter guesses some tokens, the model computes all of them in one pass, and what it would
// have drawn itself is kept (Leviathan et al., "Fast inference from transformers via speculative decoding"; here the
// tokens themselves are compared, not their distributions). Kernels give the same bits for one token and for many, so
// that the output is that of decoding token by token, with any sampling.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Runtime/Session.h"

namespace quantc {

class Drafter {
public:
  virtual ~Drafter() = default;
  /// At most `count` tokens that may follow `sequence` (all tokens from position 0 on); none where there is no idea.
  virtual Result<std::vector<int32_t>> propose(std::span<const int32_t> sequence, int64_t count) = 0;
};

/// What followed the same tokens before: the last occurrence of the longest of the sequence's endings of at most
/// `longest` and at least `shortest` tokens.
class PromptLookup : public Drafter {
public:
  explicit PromptLookup(size_t longest = 4, size_t shortest = 2) : longest(longest), shortest(shortest) {}
  Result<std::vector<int32_t>> propose(std::span<const int32_t> sequence, int64_t count) override;

private:
  size_t longest, shortest;
};

/// What a smaller model finds most likely.
class DraftModel : public Drafter {
public:
  /// Fails where the models have not as many tokens.
  static Result<std::unique_ptr<DraftModel>> create(std::unique_ptr<Session> session, const Model &target);
  Result<std::vector<int32_t>> propose(std::span<const int32_t> sequence, int64_t count) override;

private:
  explicit DraftModel(std::unique_ptr<Session> session) : session(std::move(session)) {}
  std::unique_ptr<Session> session;
};

} // namespace quantc
