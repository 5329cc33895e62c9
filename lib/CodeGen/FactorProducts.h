//===- FactorProducts.h - products of factors as numbers for each row -------------------------------------------===//
#pragma once

#include "LaneEvaluator.h"
#include "quantc/Format/Factoring.h"

namespace quantc {

/// Evaluates factors of a normal form (Format/Factoring.h) in one column of a block.
class FactorProducts {
public:
  using Filter = llvm::function_ref<bool(const Factor &)>;

  FactorProducts(LaneBuilder &b, const KernelStorage &storage, const TableReader &lookup)
      : b(b), evaluator(b, storage, lookup) {}

  /// Factors are evaluated for this column of this block from now on.
  void moveTo(CellReader &block, unsigned column) { evaluator.moveTo(block, column); }

  /// The product of the chosen factors, which are integers: `i32s`; 1 where there are none.
  mlir::FailureOr<mlir::Value> integers(llvm::ArrayRef<Factor> factors, Filter chosen = any);
  /// The product of the chosen factors: `f32s`; 1 where there are none.
  mlir::FailureOr<mlir::Value> floats(llvm::ArrayRef<Factor> factors, Filter chosen = any);

  /// Why the last of them failed.
  const std::string &problem() const { return evaluator.problem(); }

  static bool any(const Factor &) { return true; }

private:
  /// Null where none is chosen.
  template <typename Number>
  mlir::FailureOr<mlir::Value> product(llvm::ArrayRef<Factor> factors, Filter chosen, Number number);

  LaneBuilder &b;
  LaneEvaluator evaluator;
};

} // namespace quantc
