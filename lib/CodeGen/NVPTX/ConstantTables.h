//===- ConstantTables.h - tables of a format in kernels of a GPU --------------------------------------------------===//
#pragma once

#include "../CellReader.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"

namespace quantc {

/// Looks up by loads from constants of the gpu.module, which the caches keep.
class ConstantTables : public TableReader {
public:
  explicit ConstantTables(mlir::gpu::GPUModuleOp module) : module(module) {}

  mlir::Value lanes(LaneBuilder &b, const Table &table, mlir::Value index) const override;

private:
  std::string constant(LaneBuilder &b, const Table &table) const;
  mutable mlir::gpu::GPUModuleOp module;
};

} // namespace quantc
