//===- Lookup.h - tables of a format in kernels -----------------------------------------------------------------===//
#pragma once

#include "CellReader.h"
#include "Units.h"
#include "mlir/IR/BuiltinOps.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Format/Syntax.h"

namespace quantc {

/// Emits look-ups: of at most 16 numbers by permuting a register, of more by a gather from a constant of the module.
class TableLookup : public TableReader {
public:
  TableLookup(mlir::ModuleOp module, qf::TargetAttr target) : module(module), target(target), units(module) {}

  /// Element `index` (i32, in range) of a table for each lane, as bits of 32.
  mlir::Value lanes(LaneBuilder &b, const Table &table, mlir::Value index) const override;

  /// values[code] for each byte, at most 16 values.
  mlir::Value bytes(LaneBuilder &b, llvm::ArrayRef<uint8_t> values, mlir::Value codes) const;

  /// values[code] for the codes in bytes `first` and `first` + 1 of each dword, at most 256 values of 16 bits: pairs,
  /// as `i32s`. Null where the target has no such look-up.
  mlir::Value halves(LaneBuilder &b, llvm::ArrayRef<uint16_t> values, mlir::Value codes, unsigned first) const;

private:
  mlir::Value chosen(LaneBuilder &b, llvm::ArrayRef<uint8_t> values, mlir::Value codes) const;
  mlir::Value permute(LaneBuilder &b, llvm::ArrayRef<int32_t> numbers, mlir::Value index) const;
  mlir::Value words(LaneBuilder &b, llvm::ArrayRef<uint16_t> values, mlir::Value codes, unsigned first) const;
  mlir::Value gather(LaneBuilder &b, const std::string &name, llvm::ArrayRef<int32_t> numbers, mlir::Value index) const;

  mlir::ModuleOp module;
  qf::TargetAttr target;
  TargetUnits units;
};

} // namespace quantc
