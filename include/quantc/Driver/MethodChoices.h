//===- MethodChoices.h - how weights are quantized, by the options of a command ---------------------------------===//
#pragma once

#include "quantc/Calibrate/CalibrationText.h"
#include <functional>

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
  bool heldOut = false;        ///< each weight keeps the method only where it wins on text that is held out
  double outlierThreshold = 6; ///< llm-int8: features whose inputs reach it stay floats
  uint64_t rotateSeed = 0;     ///< rotate: of the signs
  /// What methods learn from: a text to run the model on, statistics of `quantc calibrate` (.safetensors), or an
  /// importance matrix of llama.cpp (.gguf, .dat).
  CalibrationText calibration;
  bool fresh = false; ///< does not go on from what a process before finished
  /// Called with what a user should know meanwhile, a line.
  std::function<void(const std::string &)> note = {};
};

} // namespace quantc
