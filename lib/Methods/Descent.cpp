//===- Descent.cpp - scales and codes anew, each where that lowers the error ------------------------------------===//

#include "Descent.h"
#include "MatrixProduct.h"
#include "quantc/Format/Factoring.h"
#include <algorithm>
#include <cmath>

using namespace quantc;

/// Columns that are taken together, about.
static constexpr int64_t blockColumns = 128;

//===- Slopes ---------------------------------------------------------------------------------------------------===//

static ExprPtr binary(Operator op, ExprPtr a, ExprPtr b) {
  return std::make_shared<const Expr>(
      Expr{.kind = ExprKind::Binary, .position = a->position, .op = op, .args = {std::move(a), std::move(b)}});
}

static ExprPtr negative(ExprPtr a) {
  return std::make_shared<const Expr>(
      Expr{.kind = ExprKind::Unary, .position = a->position, .op = Operator::Neg, .args = {std::move(a)}});
}

/// How much an expression of the form a * name + b changes with the name: a, which is free of it; null: not at all.
/// Nothing where the expression is not of that form.
static std::optional<ExprPtr> slopeOf(const ExprPtr &e, std::string_view name) {
  if (!readsName(*e, name))
    return nullptr;
  const auto &args = e->args;
  if (e->kind == ExprKind::Name && args.empty())
    return std::make_shared<const Expr>(Expr{.kind = ExprKind::Float, .position = e->position, .number = 1});
  if (e->kind != ExprKind::Binary && !(e->kind == ExprKind::Unary && e->op == Operator::Neg))
    return std::nullopt;
  const auto a = slopeOf(args[0], name), b = args.size() > 1 ? slopeOf(args[1], name) : ExprPtr();
  if (!a || !b)
    return std::nullopt;
  switch (e->op) {
  case Operator::Neg:
    return negative(*a);
  case Operator::Add:
    return !*a ? *b : !*b ? *a : binary(Operator::Add, *a, *b);
  case Operator::Sub:
    return !*b ? *a : !*a ? negative(*b) : binary(Operator::Sub, *a, *b);
  case Operator::Mul:
    if (*a && *b)
      return std::nullopt;
    return *a ? binary(Operator::Mul, *a, args[1]) : binary(Operator::Mul, args[0], *b);
  case Operator::Div:
    return *b ? std::nullopt : std::optional(binary(Operator::Div, *a, args[1]));
  default:
    return std::nullopt;
  }
}

namespace {
/// A field that is fitted, and how the values change with it.
struct AffineField {
  const Field *field;
  Program slope;
};
} // namespace

/// The fields that are constant over columns of a row, in whose cells the values are affine.
static Result<std::vector<AffineField>> affineFields(const GptqProblem &problem) {
  std::vector<AffineField> affine;
  for (const Field &f : problem.format.fields()) {
    const bool isWithinRow = f.rows == 1 && f.columns > 0 && (!f.flat || problem.K % f.columns == 0);
    if (&f == &problem.encoder.code() || !isWithinRow || !f.array.empty())
      continue;
    if (const auto slope = slopeOf(problem.format.value(), f.name); slope && *slope) {
      QUANTC_ASSIGN(Program program, Program::compile(problem.format, *slope));
      affine.push_back({&f, std::move(program)});
    }
  }
  return affine;
}

//===- Sweeps ---------------------------------------------------------------------------------------------------===//

namespace {
class Descent {
public:
  Descent(const GptqProblem &problem, const std::vector<AffineField> &affine, FieldValues &fields, int64_t row,
          int64_t rows, std::vector<float> &difference, TileTerms &terms);
  /// Goes over all columns once. Returns by how much the error fell.
  double sweep();

private:
  struct Fitted {
    const Field &field;
    ProgramRunner slope;
  };
  void refit(Fitted &fitted);
  void refitCell(Fitted &fitted, int64_t from, int64_t columns);
  void slopes(ProgramRunner &program, int64_t from, int64_t columns);
  void recode(int64_t k);
  /// The cells that hold for a column, of each row.
  void findCells(const Field &field, int64_t k) {
    cellIndices(problem.format, field, row, rows, k, problem.N, K, cells.data());
  }
  /// `product` (columns at hand x rows) = H x, of `count` columns from `from` on. H is symmetric: it is read by its
  /// rows.
  void hessianTimes(std::vector<float> &product, int64_t from, const float *x, int64_t count) const {
    std::ranges::fill(product, 0.0f);
    linear::addProduct<float>(product.data(), rows, {hessianAt(from, begin), 1, K}, {x, rows}, end - begin, rows,
                              count);
  }
  const float *hessianAt(int64_t i, int64_t j) const { return problem.inputs.hessian.data() + i * K + j; }

  const GptqProblem &problem;
  const ColumnEncoder &encoder;
  FieldValues &fields;
  const int64_t row, rows, K;
  std::vector<float> &difference;
  TileTerms &terms;
  std::vector<Fitted> affine;

  int64_t begin = 0, end = 0;    ///< the columns at hand
  std::vector<float> gradient;   ///< H (W - W'), by column at hand and row
  std::vector<float> slope;      ///< of the values of a cell with its field, by column and row
  std::vector<float> slopeMoved; ///< H slope, by column at hand and row
  std::vector<int64_t> cells;    ///< by row
  double gain = 0;
};
} // namespace

Descent::Descent(const GptqProblem &problem, const std::vector<AffineField> &fitted, FieldValues &fields, int64_t row,
                 int64_t rows, std::vector<float> &difference, TileTerms &terms)
    : problem(problem), encoder(problem.encoder), fields(fields), row(row), rows(rows), K(problem.K),
      difference(difference), terms(terms), cells(rows) {
  for (const auto &[field, slope] : fitted)
    affine.push_back({*field, ProgramRunner(slope, fields, problem.N, K)});
}

/// How the values of the cells (one a row) change with the field.
void Descent::slopes(ProgramRunner &program, int64_t from, int64_t columns) {
  std::vector<float> ofRow(columns);
  for (int64_t r = 0; r < rows; r++) {
    program.floats(row + r, from, columns, ofRow.data());
    for (int64_t c = 0; c < columns; c++)
      slope[c * rows + r] = ofRow[c];
  }
}

void Descent::refitCell(Fitted &fitted, int64_t from, int64_t columns) {
  const Field &field = fitted.field;
  findCells(field, from);
  slopes(fitted.slope, from, columns);
  hessianTimes(slopeMoved, from, slope.data(), columns);
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
    uint64_t &bits = fields[field.index][cells[r]];
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

void Descent::refit(Fitted &fitted) {
  for (int64_t from = begin; from < end; from += fitted.field.columns)
    refitCell(fitted, from, std::min(fitted.field.columns, end - from));
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
  findCells(code, k);
  auto at = [&](int64_t r) -> uint64_t & { return fields[code.index][cells[r]]; };
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
    hessianTimes(gradient, 0, difference.data(), K);
    for (Fitted &f : affine)
      refit(f);
    for (int64_t k = begin; k < end; k++)
      recode(k);
    for (Fitted &f : affine)
      refit(f);
  }
  return gain;
}

Result<double> quantc::descend(const GptqProblem &problem, FieldValues &fields, int64_t row, int64_t rows,
                               std::vector<float> &difference, TileTerms &terms) {
  QUANTC_ASSIGN(const std::vector<AffineField> affine, affineFields(problem));
  Descent descent(problem, affine, fields, row, rows, difference, terms);
  double gain = 0;
  for (int sweep = 0; sweep < problem.options.sweeps; sweep++)
    gain += descent.sweep();
  return gain;
}
