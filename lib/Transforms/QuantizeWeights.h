//===- QuantizeWeights.h - what the passes of all methods share --------------------------------------------------===//
#pragma once

#include "mlir/IR/Builders.h"
#include "quantc/Dialect/NN/NN.h"
#include "quantc/Dialect/QF/QF.h"
#include "llvm/ADT/StringMap.h"

namespace quantc {

/// A weight at a place where it is read as a matrix.
struct WeightUse {
  nn::WeightOp weight;
  mlir::Value value;           ///< the weight, or what methods before made of it
  mlir::RankedTensorType type; ///< of the quantized weight
  bool isRounded;              ///< there is nothing to learn: a table has no input, plain floats leave no choice
};

/// Gives each matrix its assigned format (`nn.format`, which is removed): what `build` makes takes the place of the
/// value. Where the weight has the bits of the format already, only its type changes.
void quantizeWeights(mlir::ModuleOp module, llvm::function_ref<mlir::Value(mlir::OpBuilder &, WeightUse)> build);

/// Options of error feedback, as `qf-gptq` has them.
struct FeedbackOptions {
  double damp;
  llvm::StringRef scales, grid;
  int64_t block;
  bool plain;
  bool actOrder = false;
  llvm::StringRef groups = "static";

  /// Fails at `module` on what is no option.
  mlir::LogicalResult check(mlir::ModuleOp module) const;
  /// As attributes of an operation; those that are usual are left out, but for `damp` and `scales`.
  void set(mlir::Operation *op) const;
};

/// Inserts a `qf.quantize` that needs no statistics.
mlir::Value quantizeByRounding(mlir::OpBuilder &builder, WeightUse use);

/// The statistics of the inputs of linears as values: weights `@columns.NAME`, `@hessian.NAME` and `@heldout.NAME`,
/// NAME being the observer, which are declared where the module has none.
class StatisticValues {
public:
  explicit StatisticValues(mlir::ModuleOp module);
  mlir::Value columns(mlir::OpBuilder &builder, llvm::StringRef weight, int64_t K);
  mlir::Value hessian(mlir::OpBuilder &builder, llvm::StringRef weight, int64_t K);
  mlir::Value heldOut(mlir::OpBuilder &builder, llvm::StringRef weight, int64_t K);

private:
  mlir::Value get(mlir::OpBuilder &builder, llvm::StringRef prefix, llvm::StringRef weight, int64_t rows, int64_t K);
  mlir::ModuleOp module;
  mlir::SymbolTable symbols;
  llvm::StringMap<std::string> observers;
};

/// The factors by which the columns of a weight were multiplied, since its input was divided by them; null: by none.
mlir::Value columnScales(mlir::Value weight);

} // namespace quantc
