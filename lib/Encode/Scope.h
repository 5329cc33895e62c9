//===- Scope.h - numbers that hold for cells of weights ---------------------------------------------------------===//
#pragma once

#include "quantc/Format/Format.h"
#include <memory>
#include <vector>

namespace quantc {

/// Cells of rows x columns weights, 0 being the whole extent; `flat`: of `columns` consecutive weights of the flattened
/// matrix.
struct Scope {
  int64_t rows = 1, columns = 1;
  bool flat = false;

  bool operator==(const Scope &) const = default;
  static Scope of(const Field &field) { return {field.flat ? 1 : field.rows, field.columns, field.flat}; }
  /// Cells cross tiles of rows: they hold for all rows of the weight.
  bool crossesTiles() const { return rows == 0; }
  bool isWeight() const { return rows == 1 && columns == 1; }
  /// Every cell lies in one cell of `coarser`.
  bool refines(const Scope &coarser) const;
};

/// The finer of two scopes; single weights where neither refines the other.
Scope meet(const Scope &a, const Scope &b);

/// Whole rows of a weight of K columns, as cells are counted in them.
struct Region {
  int64_t rows, K;

  size_t weights() const { return static_cast<size_t>(rows * K); }
  size_t cells(const Scope &scope) const;
  /// Cells are runs of so many weights, one after the other (the last may be shorter); 0: they are not.
  int64_t run(const Scope &scope) const;
  std::pair<int64_t, int64_t> firstWeight(const Scope &scope, size_t cell) const;
  size_t cellOf(const Scope &scope, int64_t n, int64_t k) const;
};

/// One number for each cell of a scope, or the same number everywhere.
struct Value {
  bool constant = true;
  float number = 0;                                ///< constant
  Scope scope;                                     ///< otherwise
  std::shared_ptr<const std::vector<float>> cells; ///< otherwise

  static Value of(float number) { return {true, number, {}, nullptr}; }
  static Value of(const Scope &scope, std::vector<float> cells) {
    return {.constant = false, .scope = scope, .cells = std::make_shared<const std::vector<float>>(std::move(cells))};
  }
  const float *data() const { return cells->data(); }
};

/// The value with each number repeated for the cells of a finer scope.
Value spread(const Region &region, const Value &value, const Scope &finer);

enum class Aggregate { Sum, Mean, Min, Max, Absmax, SignedAbsmax };
std::optional<Aggregate> aggregateNamed(std::string_view name);

/// For each cell of `target` the reduction of the value's numbers in it, in index order, in f32.
Value reduce(const Region &region, const Value &value, Aggregate aggregate, const Scope &target);

/// A reduction over all rows of a weight, tile by tile. Sums are kept in f64, since a weight may have 10^9 numbers.
class PartialAggregate {
public:
  void add(const Region &region, const Value &value, Aggregate aggregate, const Scope &target);
  /// Appends the rows that follow.
  void append(const PartialAggregate &next, Aggregate aggregate);
  Value finish(Aggregate aggregate, const Scope &target) const;

private:
  std::vector<double> totals;
  std::vector<uint64_t> counts;
};

} // namespace quantc
