//===- BoundLaunch.h - a launch whose addresses are known ---------------------------------------------------------===//
//
// Tokens of all sequences of a step lie one after the other in the buffers, so that most launches serve all of them at
// once. What reads a KV cache or a position runs for each sequence by itself, with its own addresses and numbers.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "Executor.h"

namespace quantc {

/// Where what launches name lies, for one executor.
class Addresses {
public:
  virtual ~Addresses() = default;
  /// Of a buffer; where it persists, of a sequence's.
  virtual int64_t buffer(size_t index, int64_t sequence) const = 0;
  /// What a launch passes for a weight: one address, or that of each of its planes.
  virtual std::vector<int64_t> weight(size_t index) const = 0;
  /// What a launch passes for the number of positions before a step.
  virtual int64_t past(const SequenceStep &part) const = 0;
};

/// What differs from step to step is filled in at each.
struct BoundLaunch {
  /// A buffer that lies elsewhere for each sequence: its KV cache, or its rows of what all share.
  struct Place {
    size_t argument, buffer;
    uint64_t row;
    bool countsRows; ///< Rows of logits, not tokens.
  };
  const LaunchEntry *entry;
  size_t stage;
  bool ofSequence; ///< Runs for each sequence by itself.
  std::vector<int64_t> args;
  std::vector<std::pair<size_t, Scalar>> scalars; ///< Which argument is which scalar.
  std::vector<Place> places;                      ///< Where it is of a sequence.

  /// Fails where the artifact does not say how buffers lie for several sequences.
  static Result<BoundLaunch> bind(const ProgramEntry &program, const LaunchEntry &launch, size_t stage,
                                  int64_t sequences, const Addresses &addresses);
  /// Makes `filled` its arguments in a step: of one sequence, or of what all share.
  void fill(const SequenceStep &part, const Addresses &addresses, std::vector<int64_t> &filled) const;
};

} // namespace quantc
