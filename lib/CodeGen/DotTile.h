//===- DotTile.h - a register tile by the normal form of its format ---------------------------------------------===//
//
// The normal form of the format (Format/Factoring.h), with int8 activations x = scale · code:
//
//   for each group of activations:
//     acc += scale · (R + sum over runs of  S · (sum of byte · code + offset · (sum of code)) + B · (sum of code))
// or
//     acc += scale · (R + G · (sum over runs of  integer · (sum of byte · code + offset · (sum of code))))
//
// S, B and G are vectors with a number for each row, shared by all tokens: S and G the products of the group factors of
// a term, B those of the terms without code. The code of a weight is an unsigned byte plus an offset, which all weights
// of a term share. The second way is that of formats whose factors within a group are integers, which multiply codes
// where the products are bytes, else sums. Where all of B that changes within a group is an integer, R = C · (sum over
// runs of integer · (sum of code)) takes its place. Sums of bytes and of integers are exact; the f32 operations have
// this one order on every target and for every number of tokens.
//
// bf16 activations have no scale, and no R: their sums are f32.
//
// A loop goes over the columns of a group, a few at a time: code stays small, and weights are unpacked next to their
// use. S and B of its runs then come out of the stack. A matrix unit wants whole matrices in memory: there the codes of
// a group go through the stack as well, once for all tokens of the task.
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

  MatrixUnit(LaneBuilder &b, mlir::DictionaryAttr names);

  Value zero(int64_t rows) const;
  Value load(Value address, int64_t stride, int64_t rows, int64_t bytes) const;
  /// sum + x · weights by the products of this name: x are `rows` rows of `bytes` bytes, weights a row of dwords for
  /// each four of them.
  Value multiply(llvm::StringRef dot, Value sum, Value x, Value weights, int64_t rows, int64_t bytes) const;
  void store(Value sum, Value address, int64_t rows) const;

private:
  Value call(llvm::StringRef name, mlir::Type result, mlir::ValueRange operands) const;
  Value size(int64_t n) const;

  LaneBuilder &b;
  mlir::DictionaryAttr names;
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
    llvm::SmallVector<Value> scales; ///< S, or the integer, of each term with a code; null where there is none
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
  bool hasRunFactor(size_t term) const;
  mlir::FailureOr<RunFactors> factors(BlockReader &block, unsigned column);
  mlir::FailureOr<StoredFactors> storeFactors(TileBody &blocks, int64_t first, int64_t count, Value memory);
  int64_t factorVectors(int64_t count) const;
  RunFactors loadFactors(const StoredFactors &stored, Value run, int64_t offset);
  mlir::FailureOr<Value> groupScale(TileBody &blocks, size_t term, int64_t first);

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
                             llvm::MutableArrayRef<Value> carried);
  mlir::FailureOr<llvm::SmallVector<Value>> dots(size_t term, const Place &place, int64_t columns);
  Value dotInPlace(size_t term, const Place &place, int64_t columns);
  Value codeSum(const Place &place, int64_t t, int64_t columns, int64_t factor);

  //===- Loops -------------------------------------------------------------------------------------------------===//
  int64_t leastStep() const { return body.tokens() == 1 ? 64 : 32; } ///< columns of a pass
  std::optional<Passes> passes(int64_t first, int64_t count);
  mlir::LogicalResult loop(const Passes &passes, int64_t first, int64_t count, Value known,
                           llvm::SmallVectorImpl<Value> &carried);
  BlockReader reader(const Passes &passes, Value i) { return body.reader(b.at(passes.weights, i, passes.stride)); }

  //===- Ahead of the loop over tokens -------------------------------------------------------------------------===//
  /// Vectors that are stored of a group: factors of its runs, numbers of terms without code, G of each term with a
  /// code, codes for a matrix unit.
  struct GroupPlan {
    int64_t rest, scales, codes, vectors; ///< where each begins, and how many there are
  };
  mlir::LogicalResult storeAhead();
  mlir::LogicalResult storeGroup(TileBody &blocks, int64_t first, Value memory);
  mlir::LogicalResult storeGroups(TileBody &blocks, Value memory);
  GroupPlan groupPlan() const;
  Value storedGroup(Value memory, int64_t first) const;
  StoredFactors storedAt(Value memory) const;

  //===- By a matrix unit --------------------------------------------------------------------------------------===//
  /// Sums of integers are the same on a matrix unit, so it takes those tiles that it is faster for; all tokens take
  /// sums of floats from it, or they would differ by their number.
  bool hasMatrixUnit() const {
    return products->matrixDot() && units.hasMatrix(*products->matrixDot()) &&
           (x.isHalf() || body.tokens() % MatrixUnit::tokens == 0);
  }
  mlir::LogicalResult matrixSums(llvm::MutableArrayRef<Value> sums);
  void multiplyGroup(int64_t first, int64_t token, int64_t tokens, Value stored, Value results);
  mlir::LogicalResult addGroup(int64_t first, int64_t token, Value stored, Value results,
                               llvm::MutableArrayRef<Value> sums);
  /// Codes on the stack, as one of the unit's products takes them, and where its sums go: a row for each token.
  struct Plane {
    Value codes;
    llvm::StringRef dot;
    Value sums;
  };
  void multiplyTiles(Value xs, llvm::ArrayRef<Plane> planes, int64_t columns, int64_t tokens);
  int64_t planesOf(size_t term) const { return codes[term]->multipliesSums() ? 2 : 1; }
  int64_t codeVectors() const;
  mlir::LogicalResult storeCodes(TileBody &blocks, int64_t first, int64_t count, Value memory);
  mlir::LogicalResult storePlanes(TileBody &blocks, size_t term, int64_t column, Value low, Value high);

  /// The place of a column that is known.
  Place placeOf(int64_t column);
  /// Of weights alone, in other blocks.
  Place placeIn(TileBody &blocks, int64_t column) {
    return {&blocks.block(column), static_cast<unsigned>(column % storage.columns()), {}, {}};
  }
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
  const bool inIntegers; ///< runs are multiplied in integers, groups with G
  FactorProducts numbers;
  ByteDot dot;
  std::unique_ptr<CodeProducts> products;
  llvm::SmallVector<const TermCode *> codes; ///< of the terms that have one
  Value ahead;     ///< what is stored of the groups of the tile before the loop over tokens; or null
  int64_t run = 0; ///< columns that share all that sums are multiplied with
};

} // namespace quantc
