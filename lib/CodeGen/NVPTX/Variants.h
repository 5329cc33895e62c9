//===- Variants.h - kernels for few tokens beside the one for any number ------------------------------------------===//
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace quantc {

/// A copy of a kernel's function, behind it, for at most so many tokens.
mlir::func::FuncOp variantFor(mlir::func::FuncOp kernel, const llvm::Twine &name, int64_t tokens);

/// The same with one more parameter: memory that kernels of one launch leave each other something in, a row for each
/// token.
mlir::func::FuncOp variantFor(mlir::func::FuncOp kernel, const llvm::Twine &name, int64_t tokens,
                              mlir::RankedTensorType memory);

/// Lets a function do nothing but write that memory: `stored`, and what it needs.
void writeOnlyMemory(mlir::func::FuncOp function, mlir::Value stored);

} // namespace quantc
