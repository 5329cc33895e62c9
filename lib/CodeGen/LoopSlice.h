//===- LoopSlice.h - what makes a value in a loop, for another place --------------------------------------------===//
#pragma once

#include "mlir/Dialect/SCF/IR/SCF.h"
#include "llvm/ADT/SetVector.h"
#include <optional>

namespace quantc {

/// The ops within a loop that make a value from what is defined before the loop and one index alone.
class LoopSlice {
public:
  /// Nothing where the value depends on anything else in `loop`, or on memory.
  static std::optional<LoopSlice> of(mlir::Value value, mlir::scf::ForOp loop, mlir::Value index);

  /// The same value where `b` stands, for another index.
  mlir::Value clone(mlir::OpBuilder &b, mlir::Value index) const;

private:
  mlir::Value value, index;
  llvm::SetVector<mlir::Operation *> ops; ///< in order
};

} // namespace quantc
