//===- SplitCalibration.cpp - some sequences to learn from, others to judge by ----------------------------------===//

#include "SplitCalibration.h"

using namespace quantc;

/// One sequence of so many is held out.
static constexpr size_t heldOutEvery = 4;

Result<std::unique_ptr<StatisticsSource>> SplitCalibration::create(mlir::ModuleOp graph, const WeightStore &originals,
                                                                   const Target &target, CalibrationOptions options) {
  if (options.sequences.size() < 2)
    return fail(
        "the calibration text gives one sequence: a part of them is held out to judge methods by; give a longer "
        "text, or a smaller --calib-length");
  CalibrationOptions judging = options;
  options.sequences.clear();
  std::vector<std::vector<int32_t>> all = std::exchange(judging.sequences, {});
  // Evenly over the text; of fewer than four sequences the last.
  for (size_t i = 0; i < all.size(); ++i) {
    const bool isHeldOut = i % heldOutEvery == heldOutEvery - 1 || (all.size() < heldOutEvery && i + 1 == all.size());
    (isHeldOut ? judging : options).sequences.push_back(std::move(all[i]));
  }
  QUANTC_ASSIGN(auto first, Calibrator::create(graph.clone(), originals, target, std::move(options)));
  QUANTC_ASSIGN(auto second, Calibrator::create(graph.clone(), originals, target, std::move(judging)));
  return std::unique_ptr<StatisticsSource>(new SplitCalibration(std::move(first), std::move(second)));
}

Status SplitCalibration::replaced(const std::string &weight, const ReadRows &read) {
  QUANTC_TRY(learned->replaced(weight, read));
  return judging->replaced(weight, read);
}
