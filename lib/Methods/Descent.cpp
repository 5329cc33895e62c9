//===- Descent.cpp - scales and codes anew, each where that lowers the error ------------------------------------===//

#include "Descent.h"
#include "LinearAlgebra.h"
#include "quantc/Format/Factoring.h"
#include <algorithm>
#include <cmath>

using namespace quantc;

/// Columns that are taken together, about.
static constexpr int64_t blockColumns = 128;

/// Whether an expression is of the form a * name + b with a and b free of the name.
static bool isAffineIn(const Expr &e, std::string_view name) {
  if (!readsName(e, name))
    return true;
  const auto &a = e.args;
  switch (e.kind) {
  case ExprKind::Name:
    return a.empty();
  case ExprKind::Unary:
    return e.op == Operator::Neg && isAffineIn(*a[0], name);
  case ExprKind::Binary:
    if (!isAffineIn(*a[0], name) || !isAffineIn(*a[1], name))
      return false;
    return e.op == Operator::Add || e.op == Operator::Sub ||
           (e.op == Operator::Mul && !(readsName(*a[0], name) && readsName(*a[1], name))) ||
           (e.op == Operator::Div && !readsName(*a[1], name));
  default:
    return false;
  }
}

namespace {
class Descent {
public:
  Descent(const GptqProblem &problem, FieldValues &fields, int64_t row, int64_t rows, std::vector<float> &difference,
          TileTerms &terms, const Program &value);
  /// Goes over all columns once. Returns by how much the error fell.
  double sweep();

private:
  void refit(const Field &field);
  void refitCell(const Field &field, int64_t from, int64_t columns);
  void slopes(const Field &field, int64_t from, int64_t columns);
  void recode(int64_t k);
  const float *hessianAt(int64_t i, int64_t j) const { return problem.inputs.hessian.data() + i * K + j; }

  const GptqProblem &problem;
  const ColumnEncoder &encoder;
  FieldValues &fields;
  const int64_t row, rows, K;
  std::vector<float> &difference;
  TileTerms &terms;
  const Program &value;
  std::vector<const Field *> affine; ///< fields that are fitted

  int64_t begin = 0, end = 0;    ///< the columns at hand
  std::vector<float> gradient;   ///< H (W - W'), by column at hand and row
  std::vector<float> slope;      ///< of the values of a cell with its field, by column and row
  std::vector<float> slopeMoved; ///< H slope, by column at hand and row
  double gain = 0;
};
} // namespace

Descent::Descent(const GptqProblem &problem, FieldValues &fields, int64_t row, int64_t rows,
                 std::vector<float> &difference, TileTerms &terms, const Program &value)
    : problem(problem), encoder(problem.encoder), fields(fields), row(row), rows(rows), K(problem.K),
      difference(difference), terms(terms), value(value) {
  for (const Field &f : problem.format.fields()) {
    const bool isWithinRow = f.rows == 1 && f.columns > 0 && (!f.flat || K % f.columns == 0);
    if (&f != &encoder.code() && isWithinRow && f.array.empty() && isAffineIn(*problem.format.value(), f.name))
      affine.push_back(&f);
  }
}

/// How the values of the cells (one a row) change with the field: by the difference of two values.
void Descent::slopes(const Field &field, int64_t from, int64_t columns) {
  std::vector<float> here(columns), there(columns);
  for (int64_t r = 0; r < rows; r++) {
    uint64_t &bits = fields[field.index][cellIndex(problem.format, field, row + r, from, problem.N, K)];
    const uint64_t before = bits;
    const float number = encoder.fieldNumber(field, before);
    value.floats(fields, problem.N, K, row + r, from, columns, here.data());
    float other = number;
    for (const float candidate : {isInteger(field.kind) ? number + 1 : number * 2, number / 2, 1.0f}) {
      bits = encoder.fieldBits(field, candidate);
      other = encoder.fieldNumber(field, bits);
      if (other != number && std::isfinite(other))
        break;
    }
    value.floats(fields, problem.N, K, row + r, from, columns, there.data());
    bits = before;
    for (int64_t c = 0; c < columns; c++)
      slope[c * rows + r] = other != number ? (there[c] - here[c]) / (other - number) : 0.0f;
  }
}

void Descent::refitCell(const Field &field, int64_t from, int64_t columns) {
  slopes(field, from, columns);
  linear::multiply(slopeMoved.data(), hessianAt(begin, from), K, slope.data(), rows, end - begin, rows, columns);
  std::vector<double> along(rows), curvature(rows);
  std::vector<float> step(rows);
  for (int64_t c = 0; c < columns; c++) {
    const float *s = slope.data() + c * rows, *g = gradient.data() + (from - begin + c) * rows,
                *m = slopeMoved.data() + (from - begin + c) * rows;
    for (int64_t r = 0; r < rows; r++) {
      along[r] += double(s[r]) * g[r];
      curvature[r] += double(s[r]) * m[r];
    }
  }
  std::vector<float> scale(columns), zero(columns), rest(columns);
  for (int64_t r = 0; r < rows; r++) {
    if (!(curvature[r] > 0))
      continue;
    uint64_t &bits = fields[field.index][cellIndex(problem.format, field, row + r, from, problem.N, K)];
    const float number = encoder.fieldNumber(field, bits);
    const uint64_t fitted = encoder.fieldBits(field, static_cast<float>(number + along[r] / curvature[r]));
    const double change = double(encoder.fieldNumber(field, fitted)) - number;
    const double fall = 2 * change * along[r] - change * change * curvature[r];
    if (!(fall > 0) || (number + change > 0) != (number > 0)) // a scale keeps its sign
      continue;
    gain += fall;
    bits = fitted;
    step[r] = static_cast<float>(change);
    encoder.terms(fields, row + r, from, columns, scale.data(), zero.data(), rest.data());
    for (int64_t c = 0; c < columns; c++) {
      const int64_t at = (from + c) * rows + r;
      terms.scale[at] = scale[c];
      terms.zero[at] = zero[c];
      terms.rest[at] = rest[c];
    }
  }
  auto subtract = [&](float *to, const float *what) {
    for (int64_t r = 0; r < rows; r++)
      to[r] -= step[r] * what[r];
  };
  for (int64_t c = 0; c < columns; c++)
    subtract(difference.data() + (from + c) * rows, slope.data() + c * rows);
  for (int64_t c = 0; c < end - begin; c++)
    subtract(gradient.data() + c * rows, slopeMoved.data() + c * rows);
}

void Descent::refit(const Field &field) {
  for (int64_t from = begin; from < end; from += field.columns)
    refitCell(field, from, std::min(field.columns, end - from));
}

/// The codes of a column.
void Descent::recode(int64_t k) {
  const float curvature = *hessianAt(k, k);
  if (!(curvature > 0))
    return;
  const Field &code = encoder.code();
  const float *g = gradient.data() + (k - begin) * rows, *s = terms.scale.data() + k * rows,
              *z = terms.zero.data() + k * rows;
  std::vector<double> target(rows);
  std::vector<uint64_t> codes(rows);
  std::vector<float> step(rows);
  auto at = [&](int64_t r) -> uint64_t & {
    return fields[code.index][cellIndex(problem.format, code, row + r, k, problem.N, K)];
  };
  for (int64_t r = 0; r < rows; r++)
    target[r] = double(s[r]) * (double(encoder.number(at(r))) + z[r]) + double(g[r]) / curvature;
  encoder.choose(target.data(), s, z, rows, codes.data());
  bool changed = false;
  for (int64_t r = 0; r < rows; r++) {
    uint64_t &bits = at(r);
    const double change = double(s[r]) * (double(encoder.number(codes[r])) - encoder.number(bits));
    const double fall = 2 * change * g[r] - change * change * curvature;
    if (!(fall > 0))
      continue;
    gain += fall;
    bits = codes[r];
    step[r] = static_cast<float>(change);
    changed = true;
  }
  if (!changed)
    return;
  float *d = difference.data() + k * rows;
  for (int64_t r = 0; r < rows; r++)
    d[r] -= step[r];
  for (int64_t j = begin; j < end; j++) {
    float *to = gradient.data() + (j - begin) * rows;
    const float h = *hessianAt(k, j);
    for (int64_t r = 0; r < rows; r++)
      to[r] -= h * step[r];
  }
}

double Descent::sweep() {
  gain = 0;
  const int64_t cell = std::max<int64_t>(1, encoder.cellColumns());
  const int64_t width = std::min(K, (blockColumns + cell - 1) / cell * cell);
  for (std::vector<float> *v : {&gradient, &slope, &slopeMoved})
    v->resize(width * rows);
  for (begin = 0; begin < K; begin = end) {
    end = std::min(begin + width, K);
    linear::multiply(gradient.data(), hessianAt(begin, 0), K, difference.data(), rows, end - begin, rows, K);
    for (const Field *f : affine)
      refit(*f);
    for (int64_t k = begin; k < end; k++)
      recode(k);
    for (const Field *f : affine)
      refit(*f);
  }
  return gain;
}

Result<double> quantc::descend(const GptqProblem &problem, FieldValues &fields, int64_t row, int64_t rows,
                               std::vector<float> &difference, TileTerms &terms) {
  QUANTC_ASSIGN(const Program value, Program::compile(problem.format, problem.format.value()));
  Descent descent(problem, fields, row, rows, difference, terms, value);
  double gain = 0;
  for (int sweep = 0; sweep < problem.options.sweeps; sweep++)
    gain += descent.sweep();
  return gain;
}
