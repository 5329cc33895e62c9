//===- SplitCalibration.h - some sequences to learn from, others to judge by ------------------------------------===//
#pragma once

#include "quantc/Calibrate/Calibrator.h"

namespace quantc {

/// Methods learn from three of four sequences; `heldOut` knows the others. Two calibrations side by side, which see the
/// same quantized weights.
class SplitCalibration : public StatisticsSource {
public:
  /// `graph`: a module as imported, which is cloned. Fails where there is one sequence only.
  static Result<std::unique_ptr<StatisticsSource>> create(mlir::ModuleOp graph, const WeightStore &originals,
                                                          const Target &target, CalibrationOptions options);

  bool hasHessians() const override { return true; }
  Result<std::shared_ptr<const InputStatistics>> of(const std::string &observer, bool hessian) override {
    return learned->of(observer, hessian);
  }
  Result<std::shared_ptr<const InputStatistics>> heldOut(const std::string &observer) override {
    return judging->of(observer, /*hessian=*/true);
  }
  Status replaced(const std::string &weight, const ReadRows &read) override;

private:
  SplitCalibration(std::unique_ptr<Calibrator> learned, std::unique_ptr<Calibrator> judging)
      : learned(std::move(learned)), judging(std::move(judging)) {}
  std::unique_ptr<Calibrator> learned, judging;
};

} // namespace quantc
