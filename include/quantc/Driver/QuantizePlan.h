//===- QuantizePlan.h - what a quantization takes, before it is run ----------------------------------------------===//
#pragma once

#include "quantc/Driver/MethodChoices.h"
#include "quantc/Export/Quantize.h"

namespace quantc {

/// A part of the work.
struct PlanPhase {
  std::string name;
  double operations; ///< a multiplication and an addition count as two; 0 where the time was measured on a sample
  double seconds;    ///< on all threads, were the machine ours
};

struct QuantizePlan {
  uint64_t memory = 0;      ///< bytes of private memory at most; mapped files do not count: the system takes them back
  uint64_t leastMemory = 0; ///< the smallest budget that would do
  uint64_t scratch = 0; ///< bytes of disk at most that are given back in the end: activations, what exceeds a budget,
                        ///< and finished weights
  uint64_t output = 0;  ///< bytes of the weights that are written
  uint64_t arrays = 0;  ///< bytes of private memory for large arrays together; others lie in scratch files
  int64_t window = 0;   ///< numbers of a weight that are quantized together
  double peak = 0;      ///< f32 operations per second that were measured on all threads
  std::vector<PlanPhase> phases;

  double seconds() const;
};

/// What `quantizeModel` would take with these options: the graph is made and its kernels are outlined, but nothing is
/// compiled or run. Where a budget of memory is given, the plan keeps it, or this fails and says what would do.
Result<QuantizePlan> planQuantization(QuantizeOptions options, const MethodChoices &choices);

} // namespace quantc
