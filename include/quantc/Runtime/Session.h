//===- Session.h - one sequence being computed: buffers, KV cache, steps ----------------------------------------===//
#pragma once

#include "quantc/Runtime/Model.h"
#include <algorithm>
#include <memory>
#include <span>
#include <vector>

namespace quantc {

struct SessionOptions {
  int64_t context = 0;  ///< Positions that the KV cache holds, rounded up to a multiple of 16. 0: the model's context.
  int64_t chunk = 512;  ///< The most tokens of one pass; sizes the buffers that are not persistent.
  unsigned threads = 0; ///< The caller's thread included. 0: one for each available processor.
  uint64_t memoryLimit = 0; ///< Bytes that the buffers may take. 0: what the machine, or the GPU, has available.
};

/// Which rows of logits a step computes.
enum class Rows { Last, All };

class Executor;

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

  /// Any number of tokens that the context can hold, in passes of at most chunk(). Returns the logits of the last
  /// token. On failure the passes that succeeded stay.
  Result<std::span<const float>> prefill(std::span<const int32_t> tokens);

  /// Forgets all tokens from position `length` <= past() on; 0 resets.
  Status rewind(int64_t length);
  /// Forgets everything; persistent buffers are zeros again.
  void reset();

  int64_t past() const { return static_cast<int64_t>(history.size()); }
  /// The tokens at positions [0, past()).
  std::span<const int32_t> tokens() const { return history; }
  /// Positions that this session can compute.
  int64_t context() const { return std::min(contextCapacity, program->context()); }
  int64_t chunk() const { return chunkCapacity; }
  unsigned threads() const;
  const Model &model() const { return *program; }
  /// Bytes of all buffers of this session.
  uint64_t bufferBytes() const;

private:
  Session(std::shared_ptr<const Model> model, int64_t context, int64_t chunk, std::unique_ptr<Executor> executor);
  Status check(std::span<const int32_t> tokens) const;
  std::shared_ptr<const Model> program;
  int64_t contextCapacity, chunkCapacity; ///< What the buffers hold.
  std::unique_ptr<Executor> executor;
  std::vector<int32_t> history;
};

} // namespace quantc
