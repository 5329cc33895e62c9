//===- WeightTerms.h - the normal form of a format, for the lanes of a warp ---------------------------------------===//
#pragma once

#include "../LaneEvaluator.h"
#include "ConstantTables.h"
#include "FastCodes.h"
#include "quantc/Format/Factoring.h"

namespace quantc {

/// A term of a weight, `+- F · code`, as matrix instructions take it.
struct WeightTerm {
  bool negative = false;
  std::vector<Factor> outer, code; ///< constant over the steps of a run: F; the rest
  const DotTerm *source = nullptr;
  int64_t run = 0; ///< columns whose products are summed up before F multiplies them; 0: there is no F
  /// A zero point, added to an integer code; both, and their sum, are numbers of the activations' type.
  std::optional<Factor> offset;
  bool subtractsOffset = false;

  /// Whether it multiplies the sum of x, which is the same for all rows.
  bool isSumOfX() const { return code.empty() && run != 0; }
};

/// Emits, before an operation whose weights are the planes `memory`, operand A of matrix instructions in steps of 16
/// columns, and the factors of runs:
///
///   w · x = sum over terms of  +- F · (sum over a run of  code · x)
///
/// What is constant over at least 16 columns is F. Factors of shorter runs belong to the code. Two terms s · q and s ·
/// z of integers are one, s · (q + z), where that loses nothing: else z multiplies the sum of x.
class WeightTerms {
public:
  /// Of tiles of `columns`; the weights have `rowTiles` tiles of 16 rows. `element`: f16 or bf16, the type of codes.
  WeightTerms(mlir::Operation *op, const FragmentStorage &storage, mlir::ValueRange memory, int64_t rowTiles,
              int64_t columns, mlir::Type element, mlir::OpBuilder::Listener *listener);

  LaneBuilder &builder() { return b; }
  const LaneIds &laneIds() const { return ids; }
  llvm::ArrayRef<WeightTerm> terms() const { return all; }

  /// Operand A: the codes of a step, as numbers of the activations' type. Emits an error where there is no code.
  mlir::FailureOr<Fragment> codes(const WeightTerm &term, int64_t step, int64_t rowTile);
  /// F in rows g and g + 8 from `column` on, f32.
  mlir::FailureOr<llvm::SmallVector<mlir::Value>> factors(const WeightTerm &term, int64_t column, int64_t rowTile);

private:
  void collect(int64_t columns);
  void mergeOffsets();
  mlir::FailureOr<std::optional<CodeOffsets>> offsets(const WeightTerm &term, int64_t step, int64_t rowTile);
  mlir::FailureOr<mlir::Value> productOf(llvm::ArrayRef<Factor> factors, LaneEvaluator &at, LaneBuilder &builder);

  mlir::Operation *op;
  const FragmentStorage &storage;
  ConstantTables tables;
  Factoring factoring;
  LaneBuilder b, pairBuilder;
  LaneEvaluator evaluator, rowEvaluator;
  LaneIds ids;
  mlir::Type element;
  std::vector<WeightTerm> all;
  std::vector<std::unique_ptr<FragmentReader>> readers; ///< one for each tile of 16 rows
};

} // namespace quantc
