//===- Executor.h - where a session computes ----------------------------------------------------------------------===//
#pragma once

#include "quantc/Runtime/Model.h"
#include "quantc/Runtime/Sampler.h"
#include <array>
#include <span>

namespace quantc {

/// The scalars of one step, in the order of the enumeration Scalar.
using Scalars = std::array<int64_t, 4>;
inline int64_t &valueOf(Scalars &scalars, Scalar which) {
  return scalars[static_cast<size_t>(which)];
}
inline const int64_t &valueOf(const Scalars &scalars, Scalar which) {
  return scalars[static_cast<size_t>(which)];
}

/// What a step computes of one sequence, and where that lies among the tokens and rows of logits of all.
struct SequenceStep {
  int64_t sequence;
  std::span<const int32_t> tokens;
  int64_t firstToken, firstRow;
  Scalars scalars; ///< of this sequence
};

/// Buffers of one session, on a processor or on a GPU, and what runs stages of the model's program on them. One thread
/// at a time.
class Executor {
public:
  virtual ~Executor() = default;

  /// One step of some sequences, each once; `all` are the scalars of what they share. `entering` is what the stage
  /// before its own carries, f32 [tokens][features]; null where they are the first. Gives what the last one carries, or
  /// logits, f32 [rows][vocab], in memory of the host, until the next call. On failure the persistent buffers hold for
  /// positions before `past` what they held.
  virtual Result<const float *> run(std::span<const SequenceStep> parts, const Scalars &all,
                                    const float *entering = nullptr) = 0;
  /// Steps of one token, at most `count`, without the host in between: the first of `token`, each later one of what the
  /// one before chose, its most likely token. Gives what they chose; nothing where this executor does not choose tokens
  /// or logits are no numbers, so that the host has to see them. `past` is that of the first step.
  virtual Result<std::vector<int32_t>> chooseTokens(int32_t, int64_t /*count*/, const Scalars &) {
    return std::vector<int32_t>();
  }
  /// How many of the largest logits of a row `runTop` gives; 0: it cannot.
  virtual int64_t topLogits() const { return 0; }
  /// A step as `run` does it, of all stages, of which only the largest logits of each row come back. Valid until the
  /// next call.
  virtual Result<TopLogits> runTop(std::span<const SequenceStep>, const Scalars &) {
    return fail("the largest logits are left to the host here");
  }
  /// Persistent buffers of a sequence are zeros from the next step on.
  virtual void clear(int64_t sequence) = 0;

  virtual uint64_t bufferBytes() const = 0;
  /// Threads of this machine that compute.
  virtual unsigned threads() const = 0;
};

class LaunchObserver;

/// What an executor runs, how large its buffers are, and who watches it.
struct ExecutorOptions {
  StageRange stages;
  int64_t context, chunk;             ///< positions, a multiple of 16; tokens of a step at most
  int64_t sequences;                  ///< each has persistent buffers of its own
  uint64_t memoryLimit;               ///< 0: what is available
  std::shared_ptr<ThreadPool> pool;   ///< of a processor
  LaunchObserver *observer = nullptr; ///< of a processor
};

/// Bytes of what enters behind the first stage of a program.
inline uint64_t enteringBytes(const ProgramEntry &program, StageRange stages, const Scalars &scalars) {
  return program.stages[stages.first - 1].carries->perToken * static_cast<uint64_t>(valueOf(scalars, Scalar::Tokens));
}

/// All stages, each where the model has them. Fails where the buffers do not fit, with what would.
Result<std::unique_ptr<Executor>> createExecutor(std::shared_ptr<const Model> model, ExecutorOptions options,
                                                 unsigned threads);

/// On the processor. Fails where the buffers do not fit, with what would.
Result<std::unique_ptr<Executor>> createCpuExecutor(std::shared_ptr<const Model> model, const ExecutorOptions &options);

} // namespace quantc
