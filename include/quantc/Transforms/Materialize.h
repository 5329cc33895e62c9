//===- Materialize.h - the pass that touches bytes --------------------------------------------------------------===//
#pragma once

#include "mlir/Pass/Pass.h"
#include "quantc/Support/Spool.h"
#include "quantc/Transforms/StatisticsSource.h"
#include "quantc/Transforms/WeightStore.h"

namespace quantc {

/// Called after each weight: how many numbers are done, of how many.
using EncodeProgress = std::function<void(uint64_t done, uint64_t total)>;

struct MaterializeOptions {
  StatisticsSource *statistics = nullptr; ///< of methods that want some; outlives the pass
  Spool *spool = nullptr;                 ///< has, and keeps, weights that are finished; outlives the pass
  unsigned threads = 0;                   ///< 0: as many as the machine has
  bool leavePlain = false;                ///< rounding to nearest of weights as they are is left to who writes them
  EncodeProgress progress = {};
};

/// `qf-materialize` with the store that the results go to, which must outlive the pass.
std::unique_ptr<mlir::Pass> createMaterializePass(WeightStore &store, MaterializeOptions options = {});

/// Fills a store with the weights of a module that `qf-materialize` has left: what it did is said by their types.
Status materializeAgain(mlir::ModuleOp module, WeightStore &store, const EncodeProgress &progress = {});

} // namespace quantc
