//===- Session.h - sequences being computed: buffers, KV caches, steps ------------------------------------------===//
//
// A session computes one sequence, or several at once: then one pass over the weights serves a few tokens of each. On a
// processor the logits of a token do not depend on what is computed with it, bit by bit: kernels give the same for any
// number of tokens, and those that read a KV cache run for each sequence by itself. On a GPU they do by rounding.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "quantc/Runtime/Model.h"
#include "quantc/Runtime/Sampler.h"
#include <algorithm>
#include <memory>
#include <span>
#include <vector>

namespace quantc {

/// Watches each launch of a step, for measurements. Of processors only.
class LaunchObserver {
public:
  virtual ~LaunchObserver() = default;
  /// `args`: what the kernel is given for each argument of the launch. The pool is the one that will run it.
  virtual void before(const LaunchEntry &launch, std::span<const int64_t> args, ThreadPool &pool) = 0;
  virtual void after(const LaunchEntry &launch) = 0;
};

struct SessionOptions {
  int64_t context = 0;  ///< Positions that the KV cache holds, rounded up to a multiple of 16. 0: the model's context.
  int64_t chunk = 512;  ///< The most tokens of one pass; sizes the buffers that are not persistent.
  unsigned threads = 0; ///< The caller's thread included. 0: one for each available processor.
  uint64_t memoryLimit = 0; ///< Bytes that the buffers may take. 0: what the machine, or the GPU, has available.
  int64_t sequences = 1;    ///< Each has a KV cache of its own; they share all else.
  LaunchObserver *observer = nullptr; ///< Outlives the session.
};

/// Which rows of logits a step computes.
enum class Rows { Last, All };

class Executor;

/// Tokens that follow in one sequence of a session.
struct SequenceTokens {
  int64_t sequence;
  std::span<const int32_t> tokens; ///< At least one.
};

/// Not thread-safe: one thread uses a session at a time. Sessions of one model are independent.
class Session {
public:
  /// Fails where the context exceeds what the model was compiled for or what fits into memory (and says what would
  /// fit).
  static Result<std::unique_ptr<Session>> create(std::shared_ptr<const Model> model,
                                                 const SessionOptions &options = {});
  ~Session();

  /// One pass over 1 to chunk() tokens at positions [past(), past() + tokens.size()). Returns logits, f32
  /// [rows][vocab], rows = 1 or tokens.size(), valid until the next call. On failure the session stays as it was.
  Result<std::span<const float>> step(std::span<const int32_t> tokens, Rows rows = Rows::Last);
  /// The same for several sequences, each at most once: together 1 to chunk() tokens. The rows of logits are the last
  /// token's of each, or all tokens', in the order given.
  Result<std::span<const float>> stepSequences(std::span<const SequenceTokens> parts, Rows rows = Rows::Last);

  /// How many of the largest logits of a row `stepTop` gives: a GPU that computes all of the model finds them. 0: none.
  int64_t topLogits() const;
  /// The same as `stepSequences`, but only the largest logits of each row, which is far less to copy. Fails where
  /// `topLogits()` is 0.
  Result<TopLogits> stepTop(std::span<const SequenceTokens> parts, Rows rows = Rows::Last);

  /// Any number of tokens that the context can hold, in passes of at most chunk(). Returns the logits of the last
  /// token. On failure the passes that succeeded stay.
  Result<std::span<const float>> prefill(std::span<const int32_t> tokens, int64_t sequence = 0);

  /// Decodes greedily: steps of one token, the first of `token`, each later one of the most likely token after it (of
  /// several the smaller id). Gives what they chose, at least one and at most `most` > 0 tokens: as many as a GPU
  /// computes without the host in between; the session holds all but the last one. Fails as `Sampler::sample` does.
  Result<std::vector<int32_t>> chooseTokens(int32_t token, int64_t most);

  /// Forgets all tokens of a sequence from position `length` <= past(sequence) on; 0 resets it.
  Status rewind(int64_t length, int64_t sequence = 0);
  /// Forgets everything; persistent buffers are zeros again.
  void reset();

  int64_t sequences() const { return static_cast<int64_t>(histories.size()); }
  int64_t past(int64_t sequence = 0) const { return static_cast<int64_t>(histories[sequence].size()); }
  /// The tokens at positions [0, past(sequence)).
  std::span<const int32_t> tokens(int64_t sequence = 0) const { return histories[sequence]; }
  /// Positions that this session can compute.
  int64_t context() const { return std::min(contextCapacity, program->context()); }
  int64_t chunk() const { return chunkCapacity; }
  unsigned threads() const;
  const Model &model() const { return *program; }
  /// Bytes of all buffers of this session.
  uint64_t bufferBytes() const;

private:
  Session(std::shared_ptr<const Model> model, int64_t context, int64_t chunk, int64_t sequences,
          std::unique_ptr<Executor> executor);
  Status checkSequence(int64_t sequence) const;
  Status check(const SequenceTokens &part) const;
  Status checkParts(std::span<const SequenceTokens> parts) const;
  struct Step;
  Result<Step> plan(std::span<const SequenceTokens> parts, Rows rows) const;
  void remember(std::span<const SequenceTokens> parts);
  std::shared_ptr<const Model> program;
  int64_t contextCapacity, chunkCapacity; ///< What the buffers hold.
  std::unique_ptr<Executor> executor;
  std::vector<std::vector<int32_t>> histories; ///< Of each sequence.
};

} // namespace quantc
