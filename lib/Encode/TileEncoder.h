//===- TileEncoder.h - runs a clause on some rows ---------------------------------------------------------------===//
#pragma once

#include "Clause.h"

namespace quantc {

/// What steps over all rows found in earlier passes, by step.
using RowsResults = std::map<size_t, Value>;
/// Reductions of one tile, by the calls of steps over all rows.
using TileAggregates = std::map<const Expr *, PartialAggregate>;

/// Fields that a clause does not find but takes as they are; `values` has only these, for the tile.
struct KeptFields {
  std::vector<bool> isKept; ///< by Field::index
  FieldValues values;
};

/// The aggregates that an expression calls.
void collectAggregates(const Expr &e, std::vector<const Expr *> &out);

/// Runs a clause on rows [row, row + rows).
class TileEncoder {
public:
  /// `x`: rows * K weights, finite. `importance`: K numbers, or empty.
  TileEncoder(const Clause &clause, const std::vector<FieldRounding> &rounding, int64_t row, int64_t rows,
              std::vector<float> x, std::span<const float> importance);
  TileEncoder(const TileEncoder &) = delete; // its evaluator refers to it

  /// What the steps over all rows of this pass need.
  Result<TileAggregates> aggregate(unsigned pass, const RowsResults &known);
  /// All fields. Steps that give only fields of `kept` (or null) do not run.
  Result<FieldValues> encode(const RowsResults &known, const KeptFields *kept = nullptr);

private:
  Status run(const ClauseStep &step);
  Status nearest(const ClauseStep &step);
  /// The least-squares value of a scale field, all others being as stored.
  Status refit(const ClauseStep &step);
  /// Tries several values of a scale field, each with the codes that are nearest then.
  Status scaleSearch(const ClauseStep &step);
  /// Where the bits of a field's cells are, in the order of its scope.
  std::vector<size_t> cellIndices(const Field &field) const;
  /// Gives a result its value: a field is rounded to what is stored, and is from now on what its bits stand for.
  Status put(const ClauseStep &step, const StepResult &result, const Value &value);
  Status putField(const StepResult &result, const Value &value, bool isExponent);
  /// Takes kept fields as results of earlier steps.
  void keep(const KeptFields &given);
  bool isKept(const StepResult &result) const { return kept && result.field && kept->isKept[result.field->index]; }
  Status finite(const StepResult &result, const Value &value) const;
  tl::unexpected<Error> failAtCell(const StepResult &result, const Scope &scope, size_t cell, float value) const;

  const Clause &clause;
  const Format &format;
  const std::vector<FieldRounding> &rounding; ///< by Field::index
  const int64_t row;
  const Region region;
  Environment names;
  Evaluator evaluator;
  FieldValues fields;
  const KeptFields *kept = nullptr;
};

} // namespace quantc
