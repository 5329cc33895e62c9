//===- TileEncoder.cpp - runs a clause on some rows -------------------------------------------------------------===//

#include "TileEncoder.h"
#include "PointFunctions.h"
#include <algorithm>

using namespace quantc;

void quantc::collectAggregates(const Expr &e, std::vector<const Expr *> &out) {
  if (e.kind == ExprKind::Call && aggregateNamed(e.name)) {
    out.push_back(&e);
    return;
  }
  for (const ExprPtr &a : e.args)
    collectAggregates(*a, out);
}

TileEncoder::TileEncoder(const Clause &clause, const std::vector<FieldRounding> &rounding, int64_t row, int64_t rows,
                         std::vector<float> x, std::span<const float> importance)
    : clause(clause), format(*clause.format), rounding(rounding), row(row), region{rows, clause.K},
      evaluator(format, region, clause.integers, names), fields(zeroFields(format, rows, clause.K)) {
  names["x"] = Value::of(Scope{}, std::move(x));
  if (clause.importance) {
    std::vector<float> im(region.weights());
    for (int64_t n = 0; n < rows; n++)
      std::ranges::copy(importance, im.begin() + n * clause.K);
    names["im"] = Value::of(Scope{}, std::move(im));
  }
}

tl::unexpected<Error> TileEncoder::failAtCell(const StepResult &result, const Scope &scope, size_t cell,
                                              float value) const {
  const auto [n, k] = region.firstWeight(scope, cell);
  return fail("row {}, column {}: '{}' of format '{}' becomes {}: the weights are too large for it", row + n, k,
              result.name, format.name(), std::isnan(value) ? "NaN" : "infinite");
}

Status TileEncoder::finite(const StepResult &result, const Value &value) const {
  if (value.constant)
    return {};
  for (size_t cell = 0; cell < value.cells->size(); cell++)
    if (!std::isfinite(value.data()[cell]))
      return failAtCell(result, value.scope, cell, value.data()[cell]);
  return {};
}

Status TileEncoder::putField(const StepResult &result, const Value &value, bool isExponent) {
  const Field &field = *result.field;
  const Scope scope = Scope::of(field);
  if (!value.constant && !scope.refines(value.scope))
    return format.error(field.position, fmt::format("encode gives '{}' more numbers than it has cells", field.name));
  const Value numbers = spread(region, value, scope);
  const FieldRounding &round = rounding[field.index];
  const bool isExact = field.kind == FieldKind::F32;
  const bool rowMajor = !field.inside || format.block()->rows == 1;
  std::vector<uint64_t> &raw = fields[field.index];
  std::vector<float> stored(isExact ? 0 : numbers.cells->size());
  for (size_t cell = 0; cell < numbers.cells->size(); cell++) {
    const float v = numbers.data()[cell];
    const uint64_t bits = isExponent ? static_cast<uint64_t>(v) : round.bitsFor(v);
    const float back = isExact ? v : round.numberFor(bits);
    if (!isInteger(field.kind) && !(std::isfinite(back) && std::isfinite(v)))
      return failAtCell(result, scope, cell, std::isfinite(v) ? back : v);
    if (!isExact)
      stored[cell] = back;
    size_t at = cell;
    if (!rowMajor) {
      const auto [n, k] = region.firstWeight(scope, cell);
      at = static_cast<size_t>(cellIndex(format, field, n, k, region.rows, region.K));
    }
    raw[at] = bits;
  }
  names.insert_or_assign(result.name, isExact ? numbers : Value::of(scope, std::move(stored)));
  return {};
}

Status TileEncoder::put(const ClauseStep &step, const StepResult &result, const Value &value) {
  if (result.absent || isKept(result))
    return {};
  if (result.field) // E8M0 stores the exponent that this search gives
    return putField(result, value,
                    result.field->kind == FieldKind::E8M0 && step.search && step.source->value->name == "pow2_scale");
  if (!result.inverse) {
    names.insert_or_assign(result.name, value);
    return {};
  }
  // In the order of blocks; blocks of one row lie one after the other.
  const BlockShape &block = *format.block();
  const Value wanted = spread(region, value, Scope{});
  const auto size = static_cast<size_t>(block.rows * block.columns);
  std::vector<float> inBlock(size);
  const int64_t across = region.K / block.columns;
  for (size_t b = 0; b < region.weights() / size; b++) {
    const int64_t n = int64_t(b) / across * block.rows, k = int64_t(b) % across * block.columns;
    for (int64_t r = 0; r < block.rows; r++)
      std::copy_n(wanted.data() + (n + r) * region.K + k, block.columns, inBlock.begin() + r * block.columns);
    if (!result.inverse->run(fields, b, inBlock.data()))
      return fail("row {}, column {}: no stored value of '{}' gives '{}'", row + n, k, result.inverse->field().name,
                  result.name);
  }
  names.insert_or_assign(result.name, wanted);
  return {};
}

Status TileEncoder::nearest(const ClauseStep &step) {
  const Expr &call = *step.source->value;
  if (call.args.size() != 1)
    return format.error(call.position, "'nearest' takes one argument");
  QUANTC_ASSIGN(const Value argument, evaluator.evaluate(*call.args[0], step.scope));
  const Value wanted = spread(region, argument, step.scope);
  if (step.nearestDefinition) {
    step.nearestDefinition->run(fields, region.rows, region.K, wanted.data());
    return {};
  }
  std::optional<Value> scale, keep;
  for (const auto &[key, value] : call.named) {
    if (key == "ties")
      continue;
    QUANTC_ASSIGN(const Value given, evaluator.evaluate(*value, Scope{}));
    (key == "scale" ? scale : keep) = spread(region, given, Scope{});
  }
  for (int64_t n = 0; n < region.rows; n++) {
    auto rowOf = [&](const Value &v) { return v.data() + n * region.K; };
    step.nearest->run(fields, region.rows, region.K, n, 0, static_cast<size_t>(region.K), rowOf(wanted),
                      scale ? rowOf(*scale) : nullptr, keep ? rowOf(*keep) : nullptr);
  }
  return {};
}

Status TileEncoder::refit(const ClauseStep &step) {
  // The value with the field 1: what the field multiplies.
  std::ranges::fill(fields[step.refit->index], rounding[step.refit->index].bitsFor(1));
  std::vector<float> q(region.weights());
  QUANTC_TRY(decode(format, fields, region.rows, region.K, q.data()));
  const Expr &call = *step.source->value;
  std::map<std::string_view, Value> given;
  for (const auto &[key, value] : call.named)
    if (key != "of") {
      QUANTC_ASSIGN(given[key], evaluator.evaluate(*value, step.scope));
    }
  QUANTC_ASSIGN(const Value argument, evaluator.evaluate(*call.args[0], step.scope));
  const Value x = spread(region, argument, Scope{}), w = spread(region, given["w"], Scope{});
  std::vector<float> A(q.size()), B(q.size());
  for (size_t i = 0; i < q.size(); i++) {
    const float wq = w.data()[i] * q[i];
    A[i] = wq * x.data()[i];
    B[i] = wq * q[i];
  }
  const Value sumA = reduce(region, Value::of(Scope{}, std::move(A)), Aggregate::Sum, step.scope);
  const Value sumB = reduce(region, Value::of(Scope{}, std::move(B)), Aggregate::Sum, step.scope);
  const Value fallback = spread(region, given["scale"], step.scope);
  std::vector<float> fitted(sumA.cells->size());
  for (size_t cell = 0; cell < fitted.size(); cell++)
    fitted[cell] = sumB.data()[cell] > 0 ? sumA.data()[cell] / sumB.data()[cell] : fallback.data()[cell];
  return put(step, step.results.front(), Value::of(step.scope, std::move(fitted)));
}

std::vector<size_t> TileEncoder::cellIndices(const Field &field) const {
  const Scope scope = Scope::of(field);
  std::vector<size_t> indices(region.cells(scope));
  for (size_t cell = 0; cell < indices.size(); cell++) {
    const auto [n, k] = region.firstWeight(scope, cell);
    indices[cell] = static_cast<size_t>(cellIndex(format, field, n, k, region.rows, region.K));
  }
  return indices;
}

Status TileEncoder::scaleSearch(const ClauseStep &step) {
  const Expr &call = *step.source->value;
  const Field &field = *step.results.front().field;
  const FieldRounding &round = rounding[field.index];
  const Scope scope = Scope::of(field);
  QUANTC_ASSIGN(const Value argument, evaluator.evaluate(*call.args[0], Scope{}));
  const Value x = spread(region, argument, Scope{});
  Value w;
  for (const auto &[key, value] : call.named)
    if (key == "w") {
      QUANTC_ASSIGN(const Value given, evaluator.evaluate(*value, Scope{}));
      w = spread(region, given, Scope{});
    }

  const std::vector<size_t> indices = cellIndices(field);
  std::vector<uint64_t> &stored = fields[field.index];
  std::vector<uint64_t> best(indices.size());
  std::vector<float> before(indices.size()), least(indices.size(), INFINITY);
  for (size_t cell = 0; cell < indices.size(); cell++) {
    best[cell] = stored[indices[cell]];
    before[cell] = round.numberFor(best[cell]);
  }
  const auto K = static_cast<size_t>(region.K);
  std::vector<float> scale(K), zero(K), rest(K), target(K), number(K), errors(region.weights());
  const auto &[from, to, steps] = step.candidates;
  for (int t = 0; t <= steps; t++) {
    const float by = from + (to - from) * static_cast<float>(t) / static_cast<float>(steps);
    for (size_t cell = 0; cell < indices.size(); cell++)
      stored[indices[cell]] = round.bitsFor(isInteger(field.kind) ? before[cell] + roundEven(by) : before[cell] * by);
    for (int64_t n = 0; n < region.rows; n++) {
      const float *row = x.data() + n * region.K, *weight = w.data() + n * region.K;
      float *error = errors.data() + n * region.K;
      step.nearest->terms(fields, region.rows, region.K, n, 0, K, scale.data(), zero.data(), rest.data());
      for (size_t k = 0; k < K; k++)
        target[k] = row[k] - rest[k];
      step.nearest->nearestNumbers(target.data(), scale.data(), zero.data(), K, number.data());
      for (size_t k = 0; k < K; k++) {
        const float off = scale[k] * (number[k] + zero[k]) - target[k];
        error[k] = weight[k] * off * off;
      }
    }
    const Value sums = reduce(region, Value::of(Scope{}, errors), Aggregate::Sum, scope);
    for (size_t cell = 0; cell < indices.size(); cell++)
      if (sums.data()[cell] < least[cell]) { // not where a scale is infinite
        least[cell] = sums.data()[cell];
        best[cell] = stored[indices[cell]];
      }
  }
  std::vector<float> numbers(indices.size());
  for (size_t cell = 0; cell < indices.size(); cell++) {
    stored[indices[cell]] = best[cell];
    numbers[cell] = round.numberFor(best[cell]);
  }
  names.insert_or_assign(field.name, Value::of(scope, std::move(numbers)));
  return {};
}

Status TileEncoder::run(const ClauseStep &step) {
  const StepResult &first = step.results.front();
  switch (step.kind) {
  case ClauseStep::Nearest:
    return nearest(step);
  case ClauseStep::Refit:
    return refit(step);
  case ClauseStep::ScaleSearch:
    return scaleSearch(step);
  case ClauseStep::DynamicMap:
    std::ranges::transform(search::dynamicMap(), fields[first.field->index].begin(), std::bit_cast<uint32_t, float>);
    return {};
  case ClauseStep::Search: {
    QUANTC_ASSIGN(const std::vector<Value> values, runSearch(format, region, evaluator, *step.search,
                                                             *step.source->value, step.scope, step.results.size()));
    for (size_t r = 0; r < step.results.size(); r++) {
      QUANTC_TRY(finite(step.results[r], values[r]));
      QUANTC_TRY(put(step, step.results[r], values[r]));
    }
    return {};
  }
  case ClauseStep::Expression: {
    QUANTC_ASSIGN(const Value value, evaluator.evaluate(*step.source->value, step.scope));
    if (!value.constant && !step.scope.refines(value.scope))
      return format.error(
          step.source->position,
          fmt::format("'{}' gets more numbers than its scope has cells: reduce them (sum, max, …)", first.name));
    return put(step, first, first.field ? value : spread(region, value, step.scope));
  }
  }
  return {};
}

Result<TileAggregates> TileEncoder::aggregate(unsigned pass, const RowsResults &known) {
  TileAggregates result;
  for (size_t s = 0; s < clause.steps.size(); s++) {
    const ClauseStep &step = clause.steps[s];
    if (!step.overAllRows()) {
      if (step.alsoIn.count(pass))
        QUANTC_TRY(run(step));
    } else if (step.pass < pass) {
      QUANTC_TRY(put(step, step.results.front(), known.at(s)));
    } else if (step.pass == pass) {
      std::vector<const Expr *> calls;
      collectAggregates(*step.source->value, calls);
      for (const Expr *call : calls) {
        if (call->args.size() != 1)
          return format.error(call->position, fmt::format("'{}' takes 1 argument(s)", call->name));
        QUANTC_ASSIGN(const Value value, evaluator.evaluate(*call->args[0], step.scope));
        if (value.constant || !value.scope.refines(step.scope))
          return format.error(call->position,
                              fmt::format("'{}' needs numbers that are finer than the scope of its step", call->name));
        result[call].add(region, value, *aggregateNamed(call->name), step.scope);
      }
    }
  }
  return result;
}

void TileEncoder::keep(const KeptFields &given) {
  kept = &given;
  for (const Field &f : format.fields()) {
    if (!kept->isKept[f.index])
      continue;
    fields[f.index] = kept->values[f.index];
    std::vector<float> numbers(fields[f.index].size());
    std::ranges::transform(fields[f.index], numbers.begin(),
                           [&](uint64_t bits) { return rounding[f.index].numberFor(bits); });
    if (f.array.empty())
      names.insert_or_assign(f.name, Value::of(Scope::of(f), std::move(numbers)));
  }
}

Result<FieldValues> TileEncoder::encode(const RowsResults &known, const KeptFields *given) {
  if (given)
    keep(*given);
  for (size_t s = 0; s < clause.steps.size(); s++) {
    const ClauseStep &step = clause.steps[s];
    if (std::ranges::all_of(step.results, [&](const StepResult &r) { return r.absent || isKept(r); }))
      continue;
    if (step.overAllRows())
      QUANTC_TRY(put(step, step.results.front(), known.at(s)));
    else
      QUANTC_TRY(run(step));
  }
  return std::move(fields);
}
