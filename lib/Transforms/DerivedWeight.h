//===- DerivedWeight.h - the values of weights that are made of others ------------------------------------------===//
#pragma once

#include "quantc/Dialect/NN/NN.h"
#include "quantc/Support/Result.h"
#include <functional>
#include <vector>

namespace quantc {

/// Evaluates `#nn.scaled` and its like (nn::isDerived) in f64.
class DerivedWeight {
public:
  /// `leaf` gives rows of a source or a constant; a vector is one row.
  using Leaf = std::function<Result<std::vector<double>>(mlir::Attribute from, int64_t row, int64_t count)>;
  DerivedWeight(mlir::Attribute from, Leaf leaf) : from(from), leaf(std::move(leaf)) {}

  /// Rows [row, row + count), row-major. Fails for a part of rows that depend on each other.
  Result<std::vector<double>> rows(int64_t row, int64_t count) const { return rowsOf(from, row, count); }
  /// Whether rows depend on others: then all are wanted at once.
  bool mixesRows() const;

private:
  Result<std::vector<double>> rowsOf(mlir::Attribute of, int64_t row, int64_t count) const;
  Result<std::vector<double>> scaled(nn::ScaledAttr of, int64_t row, int64_t count) const;
  Result<std::vector<double>> rotated(nn::RotatedAttr of, int64_t row, int64_t count) const;
  Result<std::vector<double>> chosen(nn::ChosenAttr of, int64_t row, int64_t count) const;
  Result<std::vector<double>> cleared(nn::ClearedAttr of, int64_t row, int64_t count) const;

  mlir::Attribute from;
  Leaf leaf;
};

} // namespace quantc
