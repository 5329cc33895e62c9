//===- Footprint.h - what calibration takes, before it is run ----------------------------------------------------===//
#pragma once

#include "quantc/Calibrate/FloatProgram.h"
#include <span>

namespace quantc {

/// What a Calibrator takes for a stage.
struct StageFootprint {
  std::string name;
  uint64_t buffers = 0;  ///< bytes of private memory for the activations of the longest sequence
  uint64_t weights = 0;  ///< bytes of f32 weights, where CalibrationOptions::memory says
  uint64_t saved = 0;    ///< bytes of scratch files between passes, of all sequences
  double operations = 0; ///< of the linears, over all tokens: a multiplication and an addition count as two
  std::vector<std::pair<std::string, int64_t>> observers; ///< and the features K that they see
};

/// By stage. `module`: the one that `program` was outlined from; `blockRows`: of kernel storage; `lengths`: tokens of
/// the sequences; `passForEach`: quantized predecessors, a pass for each input.
Result<std::vector<StageFootprint>> calibrationFootprint(const FloatProgram &program, mlir::ModuleOp module,
                                                         unsigned blockRows, std::span<const int64_t> lengths,
                                                         bool passForEach);

} // namespace quantc
