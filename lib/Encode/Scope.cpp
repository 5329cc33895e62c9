//===- Scope.cpp - numbers that hold for cells of weights -------------------------------------------------------===//

#include "Scope.h"
#include <algorithm>
#include <cmath>

using namespace quantc;

static int64_t ceilDiv(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

/// Whether an extent of the finer scope divides that of the coarser one, 0 being everything.
static bool divides(int64_t finer, int64_t coarser) {
  return coarser == 0 || (finer != 0 && coarser % finer == 0);
}

bool Scope::refines(const Scope &coarser) const {
  const Scope tensor{0, 0, false};
  if (isWeight() || coarser == tensor)
    return true;
  return flat == coarser.flat && divides(rows, coarser.rows) && divides(columns, coarser.columns);
}

Scope quantc::meet(const Scope &a, const Scope &b) {
  return a.refines(b) ? a : b.refines(a) ? b : Scope{};
}

size_t Region::cells(const Scope &s) const {
  if (s.flat)
    return static_cast<size_t>(ceilDiv(rows * K, s.columns));
  return static_cast<size_t>((s.rows ? ceilDiv(rows, s.rows) : 1) * (s.columns ? ceilDiv(K, s.columns) : 1));
}

int64_t Region::run(const Scope &s) const {
  if (s.flat)
    return s.columns;
  if (s.rows == 0 && s.columns == 0)
    return rows * K;
  if (s.rows == 1 && (s.columns == 0 || K % s.columns == 0))
    return s.columns ? s.columns : K;
  return 0;
}

std::pair<int64_t, int64_t> Region::firstWeight(const Scope &s, size_t cell) const {
  const auto i = static_cast<int64_t>(cell);
  if (s.flat)
    return {i * s.columns / K, i * s.columns % K};
  const int64_t across = s.columns ? ceilDiv(K, s.columns) : 1;
  return {i / across * s.rows, i % across * s.columns};
}

size_t Region::cellOf(const Scope &s, int64_t n, int64_t k) const {
  if (s.flat)
    return static_cast<size_t>((n * K + k) / s.columns);
  const int64_t across = s.columns ? ceilDiv(K, s.columns) : 1;
  return static_cast<size_t>((s.rows ? n / s.rows : 0) * across + (s.columns ? k / s.columns : 0));
}

Value quantc::spread(const Region &region, const Value &value, const Scope &finer) {
  if (!value.constant && value.scope == finer)
    return value;
  std::vector<float> out(region.cells(finer));
  if (value.constant) {
    std::ranges::fill(out, value.number);
    return Value::of(finer, std::move(out));
  }
  const int64_t from = region.run(value.scope), to = region.run(finer);
  if (from && to && from % to == 0) {
    const size_t ratio = static_cast<size_t>(from / to);
    for (size_t cell = 0, i = 0; i < out.size(); cell++)
      for (const size_t end = std::min(i + ratio, out.size()); i < end; i++)
        out[i] = value.data()[cell];
    return Value::of(finer, std::move(out));
  }
  for (size_t i = 0; i < out.size(); i++) {
    const auto [n, k] = region.firstWeight(finer, i);
    out[i] = value.data()[region.cellOf(value.scope, n, k)];
  }
  return Value::of(finer, std::move(out));
}

std::optional<Aggregate> quantc::aggregateNamed(std::string_view name) {
  static constexpr std::pair<std::string_view, Aggregate> names[] = {
      {"sum", Aggregate::Sum}, {"mean", Aggregate::Mean},     {"min", Aggregate::Min},
      {"max", Aggregate::Max}, {"absmax", Aggregate::Absmax}, {"signed_absmax", Aggregate::SignedAbsmax}};
  for (const auto &[known, aggregate] : names)
    if (known == name)
      return aggregate;
  return std::nullopt;
}

/// One step of a reduction. Extremes keep the first of equals.
template <typename Number> static Number combine(Aggregate aggregate, Number total, Number next) {
  switch (aggregate) {
  case Aggregate::Sum:
  case Aggregate::Mean:
    return total + next;
  case Aggregate::Min:
    return next < total ? next : total;
  case Aggregate::Max:
    return next > total ? next : total;
  case Aggregate::Absmax:
    return std::max(total, std::abs(next));
  case Aggregate::SignedAbsmax:
    return std::abs(next) > std::abs(total) ? next : total;
  }
  return total;
}

/// What a reduction begins with, given its first number.
template <typename Number> static Number begin(Aggregate aggregate, Number first) {
  return aggregate == Aggregate::Absmax ? std::abs(first) : first;
}

Value quantc::reduce(const Region &region, const Value &value, Aggregate aggregate, const Scope &target) {
  std::vector<float> out(region.cells(target));
  std::vector<uint32_t> counts(out.size());
  const size_t numbers = value.cells->size();
  const float *v = value.data();
  const int64_t from = region.run(value.scope), to = region.run(target);
  if (from && to && to % from == 0) {
    const size_t ratio = static_cast<size_t>(to / from);
    for (size_t cell = 0; cell < out.size(); cell++) {
      const size_t first = cell * ratio, end = std::min(first + ratio, numbers);
      float total = begin(aggregate, v[first]);
      for (size_t i = first + 1; i < end; i++)
        total = combine(aggregate, total, v[i]);
      out[cell] = total;
      counts[cell] = static_cast<uint32_t>(end - first);
    }
  } else {
    for (size_t i = 0; i < numbers; i++) {
      const auto [n, k] = region.firstWeight(value.scope, i);
      const size_t cell = region.cellOf(target, n, k);
      out[cell] = counts[cell]++ ? combine(aggregate, out[cell], v[i]) : begin(aggregate, v[i]);
    }
  }
  if (aggregate == Aggregate::Max)
    for (float &v : out)
      v += 0.0f; // as if the search for the largest had begun with 0: never -0
  if (aggregate == Aggregate::Mean)
    for (size_t cell = 0; cell < out.size(); cell++)
      out[cell] /= static_cast<float>(counts[cell]);
  return Value::of(target, std::move(out));
}

void PartialAggregate::add(const Region &region, const Value &value, Aggregate aggregate, const Scope &target) {
  totals.assign(region.cells(target), 0);
  counts.assign(totals.size(), 0);
  for (size_t i = 0; i < value.cells->size(); i++) {
    size_t cell = 0;
    if (totals.size() > 1) {
      const auto [n, k] = region.firstWeight(value.scope, i);
      cell = region.cellOf(target, n, k);
    }
    const double next = value.data()[i];
    totals[cell] = counts[cell]++ ? combine(aggregate, totals[cell], next) : begin(aggregate, next);
  }
}

void PartialAggregate::append(const PartialAggregate &next, Aggregate aggregate) {
  if (totals.empty()) {
    *this = next;
    return;
  }
  for (size_t cell = 0; cell < totals.size(); cell++) {
    totals[cell] = combine(aggregate, totals[cell], next.totals[cell]);
    counts[cell] += next.counts[cell];
  }
}

Value PartialAggregate::finish(Aggregate aggregate, const Scope &target) const {
  std::vector<float> out(totals.size());
  for (size_t cell = 0; cell < out.size(); cell++)
    out[cell] = static_cast<float>(aggregate == Aggregate::Mean ? totals[cell] / static_cast<double>(counts[cell])
                                                                : totals[cell]);
  return Value::of(target, std::move(out));
}
