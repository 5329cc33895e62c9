//===- CalibrationInput.h - what a model is calibrated with -----------------------------------------------------===//
#pragma once

#include "mlir/IR/BuiltinOps.h"
#include "quantc/Calibrate/CalibrationText.h"

namespace quantc {

/// Fits the length of sequences to the model of a graph (fitLength).
Status fitToModel(CalibrationText &text, mlir::ModuleOp graph);

/// The sequences that a model reads: of the text that is shipped where none is named, no longer than the model computes
/// where no length was asked for; `text` says then what was taken.
Result<CalibrationData> readCalibration(CalibrationText &text, const std::filesystem::path &model,
                                        mlir::ModuleOp graph);

} // namespace quantc
