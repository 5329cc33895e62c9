//===- GptqTile.cpp - some rows of a weight under error feedback ------------------------------------------------===//

#include "GptqTile.h"
#include "Descent.h"
#include "MatrixProduct.h"
#include <algorithm>

using namespace quantc;

/// Columns whose errors are made good one by one; in those behind them, by a product of matrices.
static constexpr int64_t stepColumns = 16;

GptqTile::GptqTile(const GptqProblem &problem, FieldValues &fields, int64_t row, int64_t rows)
    : problem(problem), fields(fields), row(row), rows(rows), K(problem.K) {
  const auto size = static_cast<size_t>(K * rows);
  weights.resize(size);
  difference.resize(size);
  for (std::vector<float> *v : {&terms.scale, &terms.zero, &terms.rest})
    v->resize(size);
  codes.resize(static_cast<size_t>(rows));
  target.resize(codes.size());
  cells.resize(codes.size());
  for (int64_t place = 0; place < K; place++)
    if (!problem.inputs.dead[place])
      for (int64_t r = 0; r < rows; r++)
        weights[place * rows + r] = problem.w[(row + r) * K + problem.inputs.source[place]];
  // The differences begin as the weights.
  for (int64_t place = 0; place < K; place++)
    std::copy_n(weights.data() + place * rows, rows, difference.data() + problem.inputs.column[place] * rows);
}

/// Columns are updated after blocks. With scales from updated weights no group may begin in a block and end after it.
int64_t GptqTile::blockEnd(int64_t begin) const {
  const int64_t block = problem.options.block, group = problem.fieldsKnown ? 0 : problem.encoder.fieldColumns();
  int64_t end = begin + block;
  if (group && problem.options.scales == GptqScales::Updated)
    end = group <= block ? begin + block / group * group : std::min(end, (begin / group + 1) * group);
  return std::min(end, K);
}

/// The fields of columns from k on. Places [frozenFrom, frozenEnd) are taken from `frozen`.
Status GptqTile::findFields(int64_t k, const std::vector<double> &frozen, int64_t frozenFrom, int64_t frozenEnd) {
  const int64_t columns = std::min(problem.encoder.fieldColumns(), K - k);
  std::vector<float> x(static_cast<size_t>(rows * columns));
  for (int64_t c = 0; c < columns; c++) {
    const int64_t place = k + c;
    const bool isFrozen = place >= frozenFrom && place < frozenEnd;
    const double *from = isFrozen ? frozen.data() + (place - frozenFrom) * rows : weights.data() + place * rows;
    for (int64_t r = 0; r < rows; r++)
      x[r * columns + c] = static_cast<float>(from[r]);
  }
  std::span<const float> importance = problem.inputs.importance;
  if (!importance.empty())
    importance = importance.subspan(k, columns);
  QUANTC_TRY(problem.encoder.findFields(fields, row, rows, k, columns, std::move(x), importance));
  readTerms(k, columns);
  return {};
}

void GptqTile::readTerms(int64_t k, int64_t columns) {
  std::vector<float> s(columns), z(columns), p(columns);
  for (int64_t r = 0; r < rows; r++) {
    problem.encoder.terms(fields, row + r, k, columns, s.data(), z.data(), p.data());
    for (int64_t c = 0; c < columns; c++) {
      const size_t at = (k + c) * rows + r;
      terms.scale[at] = s[c];
      terms.zero[at] = z[c];
      terms.rest[at] = p[c];
    }
  }
}

/// Chooses the codes of a place; `error` becomes what they leave, in units of the factor's diagonal.
void GptqTile::round(int64_t place, double *error) {
  const int64_t column = problem.inputs.column[place];
  const double *w = weights.data() + place * rows;
  const float *s = terms.scale.data() + column * rows, *z = terms.zero.data() + column * rows,
              *p = terms.rest.data() + column * rows;
  float *d = difference.data() + column * rows;
  for (int64_t r = 0; r < rows; r++)
    target[r] = w[r] - p[r];
  problem.encoder.choose(target.data(), s, z, rows, codes.data());
  const Field &code = problem.encoder.code();
  std::vector<uint64_t> &out = fields[code.index];
  cellIndices(problem.format, code, row, rows, column, problem.N, K, cells.data());
  const double diagonal = problem.inputs.factor[place * K + place];
  for (int64_t r = 0; r < rows; r++) {
    const double value = double(s[r]) * (double(problem.encoder.number(codes[r])) + z[r]) + p[r];
    error[r] = (w[r] - value) / diagonal;
    errors += error[r] * error[r];
    d[r] = static_cast<float>(double(d[r]) - value);
    out[cells[r]] = codes[r];
  }
}

/// Rounds places [from, to), each with what those before have left.
void GptqTile::roundStep(int64_t from, int64_t to, double *stepErrors) {
  for (int64_t place = from; place < to; place++) {
    double *error = stepErrors + (place - from) * rows;
    round(place, error);
    const double *u = problem.inputs.factor.data() + place * K;
    for (int64_t later = place + 1; later < to; later++) {
      double *w = weights.data() + later * rows;
      const double factor = u[later];
      for (int64_t r = 0; r < rows; r++)
        w[r] -= error[r] * factor;
    }
  }
}

/// Makes good, in places [later, end), the errors of places [from, to): the same numbers as if one place came after the
/// other.
void GptqTile::subtractErrors(int64_t from, int64_t to, int64_t later, int64_t end, const double *stepErrors) {
  linear::subtractProduct<double>(weights.data() + later * rows, rows,
                                  {problem.inputs.factor.data() + from * K + later, 1, K}, {stepErrors, rows},
                                  end - later, rows, to - from);
}

Result<double> GptqTile::run() {
  const int64_t group = problem.fieldsKnown ? 0 : problem.encoder.fieldColumns();
  if (!group)
    readTerms(0, K);
  const bool freeze = group && problem.options.scales == GptqScales::Block;
  std::vector<double> blockErrors, frozen;
  for (int64_t begin = 0, end = 0; begin < K; begin = end) {
    end = blockEnd(begin);
    blockErrors.resize((end - begin) * rows);
    if (freeze)
      frozen.assign(weights.begin() + begin * rows, weights.begin() + end * rows);
    for (int64_t from = begin, to = begin; from < end; from = to) {
      to = std::min(end, from + stepColumns);
      if (group) {
        to = std::min(to, (from / group + 1) * group);
        if (from % group == 0)
          QUANTC_TRY(findFields(from, frozen, begin, freeze ? end : begin));
      }
      roundStep(from, to, blockErrors.data() + (from - begin) * rows);
      subtractErrors(from, to, to, end, blockErrors.data() + (from - begin) * rows);
    }
    subtractErrors(begin, end, end, K, blockErrors.data());
  }

  if (problem.options.refit) {
    weights = {};
    QUANTC_ASSIGN(const double gain, descend(problem, fields, row, rows, difference, terms));
    errors -= gain;
  }

  // So far that was the error by the damped Hessian.
  for (int64_t place = 0; place < K; place++) {
    const float *d = difference.data() + problem.inputs.column[place] * rows;
    double squares = 0;
    for (int64_t r = 0; r < rows; r++)
      squares += double(d[r]) * d[r];
    errors -= problem.inputs.damping[place] * squares;
  }
  return errors;
}
