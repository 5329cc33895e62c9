//===- LaneEvaluator.h - expressions of a format as code for the rows of a block --------------------------------===//
//
// The second visitor over the expressions of a description (the first is the reference decode, Format/Decode.h): it
// emits the operations that evaluate an expression for one column of a block of kernel storage, the rows of the block
// in the lanes of vectors. Floats round once for each operation, in the order written; integers are exact.
//
//===------------------------------------------------------------------------------------------------------------===//
#pragma once

#include "CellReader.h"
#include "quantc/Format/Format.h"
#include "llvm/ADT/DenseMap.h"

namespace quantc {

/// A number for each row, or one that is known at compile time.
struct LaneValue {
  mlir::Value vector; ///< null: known at compile time
  bool isFloat = false;
  int64_t integer = 0; ///< known integer
  float number = 0;    ///< known float
  Interval range{};    ///< of an integer

  bool known() const { return !vector; }
};

class LaneEvaluator {
public:
  /// For expressions of `storage.format()`.
  LaneEvaluator(LaneBuilder &builder, const KernelStorage &storage, const TableReader &lookup)
      : b(builder), format(*storage.format()), storage(storage), lookup(lookup) {}

  /// Expressions are evaluated for this column of this block from now on.
  void moveTo(CellReader &block, unsigned column);

  /// An expression has this value in the current column.
  void bind(const Expr &expr, const LaneValue &value) { values[&expr] = value; }

  /// Fails, with the reason in `problem()`, where an expression reads what no block has.
  mlir::FailureOr<LaneValue> evaluate(const Expr &expr);
  const std::string &problem() const { return why; }

  /// As a vector of f32, integers converted.
  mlir::Value asFloats(const LaneValue &value);
  /// 2^exponent · value, as a vector of f32.
  mlir::Value timesPowerOfTwo(const LaneValue &value, unsigned exponent);
  /// As a vector of i32; integers are taken modulo 2^32.
  mlir::Value asIntegers(const LaneValue &value);

private:
  using Lanes = mlir::FailureOr<LaneValue>;
  Lanes evaluateNew(const Expr &expr);
  Lanes evaluateName(const Expr &expr);
  Lanes evaluateField(const Field &field, const StorageItem &item, const Expr &expr);
  Lanes evaluateTable(const Table &table, const Expr &expr);
  Lanes evaluateBinary(Operator op, LaneValue x, LaneValue y);
  Lanes evaluateUnary(Operator op, LaneValue x);
  Lanes evaluateCall(const Expr &expr);
  Lanes select(const LaneValue &condition, LaneValue x, LaneValue y);
  Lanes fail(const llvm::Twine &reason);

  mlir::Value fieldFloat(FieldKind kind, mlir::Value bits);
  mlir::Value wide(const LaneValue &value, bool bits64);
  LaneValue integers(mlir::Value vector, Interval range);
  static LaneValue floats(mlir::Value vector) { return {vector, true}; }
  static LaneValue known(int64_t integer) { return {{}, false, integer, 0, {integer, integer}}; }
  static LaneValue known(float number) { return {{}, true, 0, number}; }
  LaneValue compare(mlir::Value flags);

  LaneBuilder &b;
  const Format &format;
  const KernelStorage &storage;
  const TableReader &lookup;
  CellReader *block = nullptr;
  unsigned column = 0;
  std::vector<std::pair<std::string, int64_t>> variables; ///< of the sums around
  llvm::DenseMap<const Expr *, LaneValue> values;         ///< of the current column
  std::string why;
};

} // namespace quantc
