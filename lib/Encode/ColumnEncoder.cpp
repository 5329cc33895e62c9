//===- ColumnEncoder.cpp - a weight encoded column by column ----------------------------------------------------===//

#include "quantc/Encode/ColumnEncoder.h"
#include "PointFunctions.h"
#include "TileEncoder.h"
#include <algorithm>
#include <numeric>

using namespace quantc;

struct ColumnEncoder::Parts {
  const Format &format;
  int64_t N, K;
  NearestCode nearest;
  std::vector<FieldRounding> rounding;
  std::vector<bool> isKept; ///< by Field::index: codes, and fields that are wider than fieldColumns
  int64_t fieldColumns = 0, cellColumns = 0;
  std::vector<Clause> clauses; ///< for fieldColumns columns, and for the last ones where they are fewer
};

ColumnEncoder::ColumnEncoder(std::unique_ptr<const Parts> parts) : parts(std::move(parts)) {}
ColumnEncoder::ColumnEncoder(ColumnEncoder &&) noexcept = default;
ColumnEncoder::~ColumnEncoder() = default;

/// The code step of the clause, or where codes are given otherwise the one that its last step would be.
static Result<NearestCode> codeStep(const Format &format, int64_t N, int64_t K, bool importance) {
  QUANTC_ASSIGN(const Clause clause, Clause::compile(format, N, K, importance));
  for (const ClauseStep &step : clause.steps)
    if (step.kind == ClauseStep::Nearest && step.nearest)
      return *step.nearest;
  for (const Field &f : format.fields())
    for (Ties ties : {Ties::Default, Ties::First})
      if (Scope::of(f).isWeight())
        if (auto nearest = NearestCode::compile(format, f, ties, f.position))
          return nearest;
  return fail("format '{}' does not have one code of at most 8 bits for each weight that can be chosen alone: take a "
              "method without error feedback",
              format.name());
}

/// Columns of the cells where they lie within rows; nothing where they do not, or hold for whole rows.
static std::optional<int64_t> columnsWithinRow(const Scope &scope, int64_t K) {
  if (scope.columns < 1 || scope.rows != 1 || (scope.flat && K % scope.columns != 0))
    return std::nullopt;
  return std::min(scope.columns, K);
}

Result<ColumnEncoder> ColumnEncoder::create(const Format &format, int64_t N, int64_t K, bool importance) {
  QUANTC_ASSIGN(NearestCode nearest, codeStep(format, N, K, importance));
  if (auto extra = std::ranges::find_if(format.fields(), &Field::extra); extra != format.fields().end())
    return fail("format '{}' derives '{}' from its codes: take a method without error feedback", format.name(),
                extra->name);
  auto parts = std::make_unique<Parts>(Parts{format, N, K, std::move(nearest)});
  for (const Field &f : format.fields())
    parts->rounding.emplace_back(f);

  const BlockShape *block = format.block() ? &*format.block() : nullptr;
  int64_t columns = block ? block->columns : 1;
  auto include = [&](int64_t more) { columns = std::min(K, std::lcm(columns, more)); };
  bool found = false, apart = !block || block->rows == 1;
  for (const Field &f : format.fields()) {
    const auto within = columnsWithinRow(Scope::of(f), K);
    parts->isKept.push_back(&f == &parts->nearest.code() || !within);
    if (within && &f != &parts->nearest.code()) {
      include(*within);
      found = true;
    } else if (!within && f.flat) {
      apart = false; // its cells are counted along the whole weight
    }
  }
  if (!found)
    return ColumnEncoder(std::move(parts));
  parts->cellColumns = columns;

  QUANTC_ASSIGN(const Clause whole, Clause::compile(format, N, K, importance));
  for (const ClauseStep &step : whole.steps) {
    const bool isField = std::ranges::any_of(step.results, [](const StepResult &r) { return r.field || r.absent; });
    if (isField)
      continue;
    if (const auto within = columnsWithinRow(step.scope, K))
      include(*within);
    else if (step.scope.rows != 1 || step.scope.flat)
      apart = false; // a number that is not stored holds for more than a row
  }
  if (!apart)
    return ColumnEncoder(std::move(parts));
  parts->fieldColumns = parts->cellColumns = columns;
  for (int64_t width : {columns, K % columns})
    if (width) {
      QUANTC_ASSIGN(Clause clause, Clause::compile(format, N, width, importance));
      parts->clauses.push_back(std::move(clause));
    }
  return ColumnEncoder(std::move(parts));
}

const Field &ColumnEncoder::code() const {
  return parts->nearest.code();
}
int64_t ColumnEncoder::fieldColumns() const {
  return parts->fieldColumns;
}
int64_t ColumnEncoder::cellColumns() const {
  return parts->cellColumns;
}
bool ColumnEncoder::hasWiderFields() const {
  return std::ranges::count(parts->isKept, true) > 1;
}
int64_t ColumnEncoder::rowUnit() const {
  return parts->clauses.empty() ? 1 : parts->clauses.front().rowUnit;
}

Status ColumnEncoder::findFields(FieldValues &fields, int64_t n, int64_t rows, int64_t k, int64_t columns,
                                 std::vector<float> x, std::span<const float> importance) const {
  const auto &[format, N, K, nearest, rounding, isKept, fieldColumns, cellColumns, clauses] = *parts;
  const Clause &clause = columns == fieldColumns ? clauses.front() : clauses.back();
  const Region region{rows, columns};
  // A part has the geometry of a weight of its own.
  auto forCells = [&](const Field &f, auto copy) {
    const auto array = static_cast<size_t>(f.arraySize());
    const Scope scope = Scope::of(f);
    for (size_t cell = 0; cell < region.cells(scope); cell++) {
      const auto [r, c] = region.firstWeight(scope, cell);
      const auto inPart = static_cast<size_t>(cellIndex(format, f, r, c, rows, columns));
      const auto inWhole = static_cast<size_t>(cellIndex(format, f, n + r, k + c, N, K));
      for (size_t i = 0; i < array; i++)
        copy(inPart + i, inWhole + i);
    }
  };
  KeptFields kept{isKept, zeroFields(format, rows, columns)};
  for (const Field &f : format.fields())
    if (isKept[f.index] && &f != &nearest.code())
      forCells(f, [&](size_t part, size_t whole) { kept.values[f.index][part] = fields[f.index][whole]; });
  TileEncoder encoder(clause, rounding, n, rows, std::move(x), importance);
  QUANTC_ASSIGN(const FieldValues found, encoder.encode({}, &kept));
  for (const Field &f : format.fields())
    if (!isKept[f.index])
      forCells(f, [&](size_t part, size_t whole) { fields[f.index][whole] = found[f.index][part]; });
  return {};
}

void ColumnEncoder::terms(const FieldValues &fields, int64_t n, int64_t k, size_t count, float *scale, float *zero,
                          float *rest) const {
  parts->nearest.terms(fields, parts->N, parts->K, n, k, count, scale, zero, rest);
}

void ColumnEncoder::choose(const double *target, const float *scale, const float *zero, size_t count,
                           uint64_t *codes) const {
  parts->nearest.choose(target, scale, zero, count, codes);
}

float ColumnEncoder::number(uint64_t code) const {
  return parts->nearest.number(code);
}

float ColumnEncoder::fieldNumber(const Field &field, uint64_t bits) const {
  return parts->rounding[field.index].numberFor(bits);
}

uint64_t ColumnEncoder::fieldBits(const Field &field, float number) const {
  return parts->rounding[field.index].bitsFor(isInteger(field.kind) ? roundEven(number) : number);
}
