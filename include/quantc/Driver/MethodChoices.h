//===- MethodChoices.h - how weights are quantized, by the options of a command ---------------------------------===//
#pragma once

#include "quantc/Calibrate/CalibrationText.h"

namespace quantc {

/// Options of the method gptq, as the pass `qf-gptq` has them.
struct GptqChoices {
  double damp = 0.01;
  bool actOrder = false, plain = false;
  std::string scales = "updated";
};

struct MethodChoices {
  std::string names = "rtn"; ///< methods joined by '+' (Pipelines.h)
  GptqChoices gptq;
  /// What methods learn from: a text to run the model on, statistics of `quantc calibrate` (.safetensors), or an
  /// importance matrix of llama.cpp (.gguf, .dat).
  CalibrationText calibration;
};

} // namespace quantc
