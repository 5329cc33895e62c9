//===- Materialize.h - the pass that touches bytes --------------------------------------------------------------===//
#pragma once

#include "mlir/Pass/Pass.h"
#include "quantc/Methods/StatisticsSource.h"
#include "quantc/Support/Spool.h"
#include "quantc/Transforms/WeightStore.h"
#include <memory_resource>

namespace quantc {

/// A weight that is finished.
struct EncodedWeight {
  uint64_t done, total; ///< numbers, with those of the weights before, of all
  llvm::StringRef name;
  std::optional<double> nmse; ///< squared error over squared size, where it is known
};
using EncodeProgress = std::function<void(const EncodedWeight &weight)>;

struct MaterializeOptions {
  StatisticsSource *statistics = nullptr; ///< of methods that want some; outlives the pass
  Spool *spool = nullptr;                 ///< has, and keeps, weights that are finished; outlives the pass
  unsigned threads = 0;                   ///< 0: as many as the machine has
  bool leavePlain = false;                ///< rounding to nearest of weights as they are is left to who writes them
  EncodeProgress progress = {};
  /// Where matrices of K x K numbers lie; outlives the pass.
  std::pmr::memory_resource *memory = std::pmr::get_default_resource();
  /// Rows of a weight are quantized together up to so many numbers: memory takes some 30 bytes for each. The results
  /// are the same for all windows.
  int64_t window = int64_t(1) << 24;
};

/// `qf-materialize` with the store that the results go to, which must outlive the pass.
std::unique_ptr<mlir::Pass> createMaterializePass(WeightStore &store, MaterializeOptions options = {});

/// Fills a store with the weights of a module that `qf-materialize` has left: what it did is said by their types.
Status materializeAgain(mlir::ModuleOp module, WeightStore &store, const EncodeProgress &progress = {});

} // namespace quantc
