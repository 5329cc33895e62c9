//===- Lookup.h - tables of a format in kernels -----------------------------------------------------------------===//
#pragma once

#include "CellReader.h"
#include "mlir/IR/BuiltinOps.h"
#include "quantc/Dialect/QF/QF.h"
#include "quantc/Format/Syntax.h"

namespace quantc {

/// Emits look-ups: of at most 16 numbers by permuting a register, of more by a gather from a constant of the module.
class TableLookup : public TableReader {
public:
  TableLookup(mlir::ModuleOp module, qf::TargetAttr target) : module(module), target(target) {}

  /// Element `index` (i32, in range) of a table for each lane, as bits of 32.
  mlir::Value lanes(LaneBuilder &b, const Table &table, mlir::Value index) const override;

  /// values[code] for each byte, at most 16 values.
  mlir::Value bytes(LaneBuilder &b, llvm::ArrayRef<uint8_t> values, mlir::Value codes) const;

private:
  mlir::Value permute(LaneBuilder &b, llvm::ArrayRef<int32_t> numbers, mlir::Value index) const;
  mlir::Value gather(LaneBuilder &b, const std::string &name, llvm::ArrayRef<int32_t> numbers, mlir::Value index) const;

  mlir::ModuleOp module;
  qf::TargetAttr target;
};

} // namespace quantc
