//===- Calibrate.h - statistics of a model's activations on a text ----------------------------------------------===//
#pragma once

#include "quantc/Calibrate/CalibrationText.h"
#include "quantc/Calibrate/Calibrator.h"
#include "quantc/Driver/QuantizePlan.h"

namespace quantc {

struct CalibrateOptions {
  std::filesystem::path model, output;
  CalibrationText text; ///< without a file: the one that is shipped
  bool hessian = true;  ///< the products of features too, not only sums of each
  std::vector<std::filesystem::path> formatFiles;
  unsigned threads = 0;
  uint64_t memoryBudget = 0; ///< as in MethodChoices.h
  bool fresh = false;        ///< likewise
  std::function<void(const std::string &)> note = {};
  /// Sequences done of a pass over a stage.
  std::function<void(uint64_t done, uint64_t total, const std::string &stage)> progress;
};

struct CalibrateReport {
  uint64_t sequences = 0, tokens = 0, observers = 0;
  uint64_t available = 0;                ///< tokens of the text
  uint64_t distinct = 0, vocabulary = 0; ///< ids that occur, of how many
  uint64_t features = 0, silent = 0;     ///< of all inputs, and how many of them were always 0
};

/// What `calibrateModel` would take; as QuantizePlan.h has it.
Result<QuantizePlan> planCalibration(const CalibrateOptions &options);

/// Runs the model on the text and writes what its linears saw: StatisticsFile.h, or, where the output ends in .gguf or
/// .dat, an importance matrix of llama.cpp. Memory holds one block, as far as the budget allows. What is finished is
/// kept in the folder `OUTPUT.resume` until all is: a process that was killed is gone on from.
Result<CalibrateReport> calibrateModel(const CalibrateOptions &options);

} // namespace quantc
