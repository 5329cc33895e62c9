//===- SplitOutliers.h - the pass that keeps columns with large inputs apart -------------------------------------===//
#pragma once

#include "mlir/Pass/Pass.h"
#include "quantc/Methods/StatisticsSource.h"

namespace quantc {

/// `nn-split-outliers` by statistics that the caller has; `source` must outlive the pass.
std::unique_ptr<mlir::Pass> createSplitOutliersPass(StatisticsSource &source, double threshold);

} // namespace quantc
