//===- GptqTile.h - some rows of a weight under error feedback --------------------------------------------------===//
#pragma once

#include "GptqInputs.h"
#include "quantc/Encode/ColumnEncoder.h"

namespace quantc {

/// What all rows share.
struct GptqProblem {
  const Format &format;
  const ColumnEncoder &encoder;
  std::span<const float> w;
  int64_t N, K;
  const GptqOptions &options;
  const GptqInputs &inputs;
  bool fieldsKnown; ///< all fields but the codes are found already
};

/// ColumnEncoder::terms of some rows, by column of the fields and row.
struct TileTerms {
  std::vector<float> scale, zero, rest;
};

/// Rows [row, row + rows) of a weight.
class GptqTile {
public:
  GptqTile(const GptqProblem &problem, FieldValues &fields, int64_t row, int64_t rows);

  /// All codes, and the fields that are not known. Returns tr(dW H dWT) of the rows.
  Result<double> run();

private:
  Status findFields(int64_t k, const std::vector<double> &frozen, int64_t frozenFrom, int64_t frozenEnd);
  void readTerms(int64_t k, int64_t columns);
  void round(int64_t place, double *error);
  void roundStep(int64_t from, int64_t to, double *stepErrors);
  void subtractErrors(int64_t from, int64_t to, int64_t later, int64_t end, const double *stepErrors);
  int64_t blockEnd(int64_t begin) const;

  const GptqProblem &problem;
  FieldValues &fields;
  const int64_t row, rows, K;
  std::vector<double> weights;   ///< by place and row: as changed so far
  std::vector<float> difference; ///< by column of the fields and row: the weight minus its value
  TileTerms terms;
  std::vector<uint64_t> codes; ///< of one column
  std::vector<double> target;  ///< of one column
  std::vector<int64_t> cells;  ///< of one column
  double errors = 0;           ///< sum of squared errors of places, in units of the factor
};

} // namespace quantc
