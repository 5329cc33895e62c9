//===- CodeProducts.h - codes of weights times codes of activations ---------------------------------------------===//
//
// The innermost sums of a register tile, and all that differs between kinds of activations: codes lie in dwords, one
// for each row of a block, several columns in each, and instructions of the target multiply them with the same columns
// of x.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "Activations.h"
#include "ByteDot.h"
#include "Codes.h"
#include "FactorProducts.h"
#include "Lookup.h"
#include "TileBody.h"
#include "Units.h"

namespace quantc {

/// Columns from one on: of weights, and of the activations of token 0.
struct Place {
  BlockReader *block;
  unsigned column; ///< within the block that `block` reads
  mlir::Value codes, sums;
  int64_t ofTile = -1; ///< the column within the tile, where it is known; runs may then go on in the next block
};

class CodeProducts {
public:
  virtual ~CodeProducts() = default;

  /// What is multiplied of each term of the normal form that has a code.
  virtual llvm::SmallVector<const TermCode *> codes() const = 0;
  /// Columns whose codes share a dword.
  virtual int64_t columns() const = 0;
  /// The codes of `columns()` columns of each row, from the c-th of a place on: a vector of the bits of `i32s`.
  virtual mlir::FailureOr<mlir::Value> weights(size_t term, const Place &place, int64_t c) = 0;

  /// Whether codes can be multiplied where they lie in their bytes, as multiples of themselves, and sums of so many
  /// columns gain by it.
  virtual bool isInPlace(size_t, int64_t) const { return false; }
  /// Those of `weights`, times 2^shift.
  virtual std::pair<mlir::Value, unsigned> weightsInPlace(size_t, const Place &, int64_t) { return {}; }

  /// The type of a sum: `i32s`, exact, or `f32s`.
  virtual mlir::VectorType sumType() const = 0;
  /// sum += weights · x, of the same columns of token t.
  virtual mlir::Value add(size_t term, mlir::Value sum, mlir::Value weights, const Place &place, int64_t t,
                          int64_t c) const = 0;
  /// Whether codes have an offset, and are signed bytes with it.
  virtual bool isSigned(size_t) const { return false; }
  /// The name that a matrix unit has for such products, of codes without offset; nothing where none can do them.
  virtual std::optional<llvm::StringRef> matrixDot() const = 0;
};

/// int8 activations: codes of weights are unsigned bytes, sums are exact.
class ByteProducts : public CodeProducts {
public:
  ByteProducts(LaneBuilder &b, const KernelStorage &storage, const TableLookup &lookup, qf::TargetAttr target,
               TileBody &body, FactorProducts &factors, const Factoring &factoring);

  llvm::SmallVector<const TermCode *> codes() const override;
  int64_t columns() const override { return 4; }
  mlir::FailureOr<mlir::Value> weights(size_t term, const Place &place, int64_t c) override;
  bool isInPlace(size_t term, int64_t columns) const override;
  std::pair<mlir::Value, unsigned> weightsInPlace(size_t term, const Place &place, int64_t c) override;
  mlir::VectorType sumType() const override { return b.i32s; }
  mlir::Value add(size_t term, mlir::Value sum, mlir::Value weights, const Place &place, int64_t t,
                  int64_t c) const override;
  bool isSigned(size_t term) const override;
  std::optional<llvm::StringRef> matrixDot() const override;

private:
  std::pair<BlockReader *, unsigned> cellOf(const Place &place, int64_t c);
  mlir::Value multiplied(const ByteCode &code, mlir::Value bits, mlir::Value multiplier);

  LaneBuilder &b;
  const KernelStorage &storage;
  const TableLookup &lookup;
  ByteDot dot;
  TileBody &body;
  FactorProducts &factors;
  const bool takesAnyByte; ///< the instruction of the target does
  std::vector<ByteCode> byteCodes;
};

/// bf16 activations on a target that multiplies pairs of bf16: codes of weights are bf16, rounded where they have more
/// digits. The order of additions is that of the target's instruction.
class HalfProducts : public CodeProducts {
public:
  HalfProducts(LaneBuilder &b, const KernelStorage &storage, const TableLookup &lookup, mlir::StringAttr dot,
               TileBody &body, FactorProducts &factors, const Factoring &factoring);

  llvm::SmallVector<const TermCode *> codes() const override;
  int64_t columns() const override { return 2; }
  mlir::FailureOr<mlir::Value> weights(size_t term, const Place &place, int64_t c) override;
  mlir::VectorType sumType() const override { return b.f32s; }
  mlir::Value add(size_t term, mlir::Value sum, mlir::Value weights, const Place &place, int64_t t,
                  int64_t c) const override;
  std::optional<llvm::StringRef> matrixDot() const override { return "halves"; }

private:
  mlir::FailureOr<mlir::Value> evaluated(const HalfCode &code, BlockReader &block, unsigned column);

  LaneBuilder &b;
  const KernelStorage &storage;
  const TableLookup &lookup;
  mlir::StringAttr dot; ///< an intrinsic
  TileBody &body;
  FactorProducts &factors;
  std::vector<HalfCode> halfCodes;
};

} // namespace quantc
