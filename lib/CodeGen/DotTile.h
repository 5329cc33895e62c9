//===- DotTile.h - a register tile by the normal form of its format ---------------------------------------------===//
//
// The normal form of the format (Format/Factoring.h), with int8 activations x = scale · code:
//
//   for each group of activations:
//     acc += scale · (R + sum over runs of  S · (sum of byte · code + offset · (sum of code)) + B · (sum of code))
//
// S and B are vectors with a number for each row, shared by all tokens: S the product of the group factors of a term, B
// those of the terms without code. The code of a weight is an unsigned byte plus an offset, which all weights of a term
// share. Where all of B that changes within a group is an integer, R = C · (sum over runs of integer · (sum of code))
// takes its place. Sums of bytes and of integers are exact; the f32 operations have this one order on every target and
// for every number of tokens.
//
// bf16 activations have no scale, and no R: their sums are f32.
//
// A loop goes over the columns of a group, a few at a time: code stays small, and weights are unpacked next to their
// use. S and B of its runs then come out of the stack. A matrix unit wants whole matrices in memory: there the codes of
// a group go through the stack as well, once for all tokens of the tile.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "CodeProducts.h"

namespace quantc {

/// The tile registers of a target, by the names of `matrix` in its file: sums of 16 rows (of weights) of 32 bits for up
/// to 16 tokens.
class MatrixUnit {
public:
  using Value = mlir::Value;
  static constexpr int64_t tokens = 16, leastRows = 4;

  /// `dot`: the name of its products.
  MatrixUnit(LaneBuilder &b, mlir::DictionaryAttr names, llvm::StringRef dot);

  Value zero(int64_t rows) const;
  Value load(Value address, int64_t stride, int64_t rows, int64_t bytes) const;
  /// sum + x · weights: x are `rows` rows of `bytes` bytes, weights a row of dwords for each four of them.
  Value multiply(Value sum, Value x, Value weights, int64_t rows, int64_t bytes) const;
  void store(Value sum, Value address, int64_t rows) const;

private:
  Value call(llvm::StringRef name, mlir::Type result, mlir::ValueRange operands) const;
  Value size(int64_t n) const;

  LaneBuilder &b;
  mlir::DictionaryAttr names;
  llvm::StringRef dot;
  mlir::Type tile;
};

class DotTile {
public:
  DotTile(qf::TileDotOp op, LaneBuilder &b, const KernelStorage &storage, const TableLookup &lookup,
          qf::TargetAttr target, const ActivationLayout &x, TileBody &body);

  mlir::LogicalResult emit();

private:
  mlir::LogicalResult check();
  mlir::LogicalResult hasNoCode();
  void explain() const;

  using Value = mlir::Value;

  /// What the tokens of a tile share in one run of columns.
  struct RunFactors {
    llvm::SmallVector<Value> scales; ///< S, of each term with a code
    Value rest;                      ///< B, or null
  };
  /// The same for all runs of a group, on the stack.
  struct StoredFactors {
    Value memory;
    int64_t count = 0; ///< vectors of a run
    bool hasRest = false;
  };
  /// How a loop goes over the blocks or segments of a group.
  struct Passes {
    int64_t columns; ///< of a pass
    Value weights;   ///< the first block or segment
    int64_t stride;  ///< bytes from one pass to the next
    bool wholeBlocks;
  };

  //===- Numbers for each row ----------------------------------------------------------------------------------===//
  mlir::FailureOr<Value> product(const DotTerm &term, FactorProducts::Filter chosen);
  mlir::FailureOr<RunFactors> factors(BlockReader &block, unsigned column);
  mlir::FailureOr<StoredFactors> storeFactors(TileBody &blocks, int64_t first, int64_t count, Value memory);
  int64_t factorVectors(int64_t count) const;
  RunFactors loadFactors(const StoredFactors &stored, Value run, int64_t offset);

  //===- Sums --------------------------------------------------------------------------------------------------===//
  /// The sums of a group of activations for the tokens from `token` on, before any product.
  mlir::FailureOr<llvm::SmallVector<Value>> restSums(int64_t first, int64_t token, int64_t tokens, Value stored);
  mlir::LogicalResult addRest(const DotTerm &term, int64_t first, int64_t token, llvm::MutableArrayRef<Value> partial,
                              Value stored);
  mlir::FailureOr<Value> restPair(TileBody &blocks, const DotTerm &term, int64_t first);
  mlir::FailureOr<Value> restScale(TileBody &blocks, const DotTerm &term, int64_t first);
  /// Of a term without code, where sums are narrow: the pairs of a group and its scale.
  int64_t restVectors() const { return x.group / x.sumRun / 2 + 1; }
  mlir::LogicalResult groupSums(int64_t first, int64_t count, llvm::SmallVectorImpl<Value> &sums);
  Value scaled(Value sum, Value partial, int64_t first, int64_t t);
  mlir::LogicalResult addRun(const Place &place, int64_t columns, const RunFactors &shared,
                             llvm::MutableArrayRef<Value> partial);
  mlir::FailureOr<llvm::SmallVector<Value>> dots(size_t term, const Place &place, int64_t columns);
  mlir::FailureOr<llvm::SmallVector<Value>> dots(size_t term, const Place &place, int64_t first, int64_t columns,
                                                 int64_t offset);
  Value dotInPlace(size_t term, const Place &place, int64_t first, int64_t columns, int64_t offset);
  Value codeSum(const Place &place, int64_t t, int64_t first, int64_t columns, int64_t factor);

  //===- Loops -------------------------------------------------------------------------------------------------===//
  int64_t leastStep() const { return body.tokens() == 1 ? 64 : 32; } ///< columns of a pass
  std::optional<Passes> passes(int64_t first, int64_t count);
  mlir::LogicalResult loop(const Passes &passes, int64_t first, int64_t count, Value known,
                           llvm::SmallVectorImpl<Value> &partial);
  BlockReader reader(const Passes &passes, Value i) { return body.reader(b.at(passes.weights, i, passes.stride)); }

  //===- Ahead of the loop over tokens -------------------------------------------------------------------------===//
  mlir::LogicalResult storeAhead();
  mlir::LogicalResult storeGroups(TileBody &blocks, Value memory);
  int64_t groupVectors() const;
  StoredFactors storedAt(Value memory) const;

  //===- By a matrix unit --------------------------------------------------------------------------------------===//
  /// Sums of integers are the same on a matrix unit, so it takes those tiles that it is faster for; all tokens take
  /// sums of floats from it, or they would differ by their number.
  bool hasMatrixUnit() const {
    return products->matrixDot() && units.hasMatrix(*products->matrixDot()) &&
           (x.isHalf() || body.tokens() % MatrixUnit::tokens == 0);
  }
  mlir::LogicalResult matrixSums(int64_t first, int64_t count, llvm::SmallVectorImpl<Value> &sums);
  void multiplyTiles(Value xs, Value weights, int64_t columns, int64_t tokens, Value results);
  mlir::FailureOr<llvm::SmallVector<Value>> storeCodes(int64_t first, int64_t count);

  /// The place of a column that is known.
  Place placeOf(int64_t column);
  /// The same place `columns` further in x, its weights in `block`.
  Place moved(const Place &place, BlockReader *block, unsigned column, int64_t columns);
  bool hasNarrowSums() const { return x.sumBytes == 2; }

  qf::TileDotOp op;
  LaneBuilder &b;
  const KernelStorage &storage;
  const TargetUnits units;
  const ActivationLayout &x;
  TileBody &body;
  const Factoring factoring;
  FactorProducts numbers;
  ByteDot dot;
  std::unique_ptr<CodeProducts> products;
  llvm::SmallVector<const TermCode *> codes; ///< of the terms that have one
  Value ahead;     ///< numbers for each row of the groups of the tile, stored before the loop over tokens; or null
  int64_t run = 0; ///< columns that share all scales
};

} // namespace quantc
