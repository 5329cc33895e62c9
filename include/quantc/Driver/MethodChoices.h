//===- MethodChoices.h - how weights are quantized, by the options of a command ---------------------------------===//
#pragma once

#include "quantc/Calibrate/CalibrationText.h"
#include <functional>
#include <optional>

namespace quantc {

/// Options of the method gptq, as the pass `qf-gptq` has them.
struct GptqChoices {
  double damp = 0.01;
  bool actOrder = false, plain = false;
  std::string scales = "updated", groups = "static", grid;
  int64_t block = 128;
  std::string inputs = "quantized"; ///< what the quantized weights before give ("true sequential"), or "original"
};

/// All of them, as JSON: what differs in one differs here.
std::string describe(const GptqChoices &choices);

struct MethodChoices {
  std::string names = "rtn"; ///< methods joined by '+' (Pipelines.h)
  GptqChoices gptq;
  bool heldOut = false;        ///< each weight keeps the method only where it wins on text that is held out
  double outlierThreshold = 6; ///< llm-int8: features whose inputs reach it stay floats
  uint64_t rotateSeed = 0;     ///< rotate: of the signs
  /// What methods learn from: a text to run the model on, statistics of `quantc calibrate` (.safetensors), or an
  /// importance matrix of llama.cpp (.gguf, .dat).
  CalibrationText calibration;
  /// Bytes of private memory that the work may take; 0: what the machine has to spare. Large arrays that exceed it lie
  /// in scratch files beside the output. The results are the same.
  uint64_t memoryBudget = 0;
  bool fresh = false; ///< does not go on from what a process before finished
  /// Called after each weight that methods have quantized, with its error: squared error over squared size.
  std::function<void(uint64_t done, uint64_t total, const std::string &weight, std::optional<double> nmse)> progress =
      {};
  /// Called with what a user should know meanwhile, a line.
  std::function<void(const std::string &)> note = {};
};

} // namespace quantc
