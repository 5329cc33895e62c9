//===- Descent.h - scales and codes anew, each where that lowers the error --------------------------------------===//
#pragma once

#include "GptqTile.h"

namespace quantc {

/// Coordinate descent on tr(dW H dWT), H damped as for the factorization, over the fields of rows [row, row + rows):
/// for some columns at a time every scale, minimum and zero point is fitted by least squares, then every code, each
/// with all others fixed and taken only where the error falls. `difference`: the weights minus their values, by column
/// of the fields and row. Returns by how much the error fell. (Without damping, few tokens would be learned by heart.)
Result<double> descend(const GptqProblem &problem, FieldValues &fields, int64_t row, int64_t rows,
                       std::vector<float> &difference, TileTerms &terms);

} // namespace quantc
