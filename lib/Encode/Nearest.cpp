//===- Nearest.cpp - the code that comes nearest, all other fields being what they are --------------------------===//

#include "Nearest.h"
#include "PointFunctions.h"
#include "Scope.h"
#include <algorithm>
#include <numeric>

using namespace quantc;

static bool reads(const std::vector<Factor> &factors, const std::string &name) {
  return std::ranges::any_of(factors, [&](const Factor &f) { return readsName(*f.expr, name); });
}

//===--- The code of a weight -----------------------------------------------------------------------------------===//

Result<NearestCode::Product> NearestCode::product(const Format &format, const std::vector<Factor> &factors,
                                                  bool negative) {
  Product result;
  result.negative = negative;
  for (const Factor &f : factors) {
    QUANTC_ASSIGN(Program program, Program::compile(format, f.expr));
    result.factors.push_back(std::move(program));
    result.power *= std::ldexp(1.0f, static_cast<int>(f.exponent));
  }
  return result;
}

void NearestCode::Product::evaluate(const FieldValues &fields, int64_t N, int64_t K, int64_t n, int64_t k, size_t count,
                                    float *out) const {
  std::vector<float> next(count);
  std::vector<int64_t> integers(count);
  std::fill_n(out, count, 1.0f);
  for (size_t f = 0; f < factors.size(); f++) {
    if (factors[f].type() == ValueType::Integer) {
      factors[f].integers(fields, N, K, n, k, count, integers.data());
      std::ranges::transform(integers, next.begin(), [](int64_t v) { return static_cast<float>(v); });
    } else {
      factors[f].floats(fields, N, K, n, k, count, next.data());
    }
    for (size_t i = 0; i < count; i++)
      out[i] *= next[i];
  }
  const float sign = negative ? -power : power;
  if (sign != 1)
    for (size_t i = 0; i < count; i++)
      out[i] *= sign;
}

/// Whether the expressions read nothing but `field` and tables.
static bool readsOnly(const Format &format, const Expr &e, const Field &field) {
  if (e.kind == ExprKind::Sum || (e.kind == ExprKind::Name && e.name != field.name && !format.table(e.name)))
    return false;
  return std::ranges::all_of(e.args, [&](const ExprPtr &a) { return readsOnly(format, *a, field); });
}

/// The product of code factors for each pattern of the field's bits: a row of weights that have all of them is decoded.
static Result<std::vector<float>> valuesByBits(const Format &format, const Field &field,
                                               const std::vector<Factor> &code) {
  const int64_t patterns = int64_t(1) << field.width, block = format.block() ? format.block()->columns : 1;
  const int64_t K = (patterns + block - 1) / block * block;
  FieldValues fields = zeroFields(format, 1, K);
  for (int64_t k = 0; k < patterns; k++)
    fields[field.index][static_cast<size_t>(cellIndex(format, field, 0, k, 1, K))] = static_cast<uint64_t>(k);
  std::vector<float> values(static_cast<size_t>(patterns), 1.0f), next(values.size());
  std::vector<int64_t> integers(values.size());
  for (const Factor &f : code) {
    QUANTC_ASSIGN(Program program, Program::compile(format, f.expr));
    if (program.type() == ValueType::Integer) {
      program.integers(fields, 1, K, 0, 0, values.size(), integers.data());
      std::ranges::transform(integers, next.begin(), [](int64_t v) { return static_cast<float>(v); });
    } else {
      program.floats(fields, 1, K, 0, 0, values.size(), next.data());
    }
    for (size_t i = 0; i < values.size(); i++)
      values[i] *= std::ldexp(next[i], static_cast<int>(f.exponent));
  }
  return values;
}

/// The factors that remain when those of `common` are taken out; nothing where one of them is missing.
static std::optional<std::vector<Factor>> without(std::vector<Factor> factors, const std::vector<Factor> &common) {
  for (const Factor &c : common) {
    auto same = std::ranges::find_if(factors, [&](const Factor &f) {
      return f.exponent == c.exponent && expressionText(*f.expr) == expressionText(*c.expr);
    });
    if (same == factors.end())
      return std::nullopt;
    factors.erase(same);
  }
  return factors;
}

/// Whether the codes are consecutive integers, each once.
static bool counts(const std::vector<float> &values) {
  std::vector<float> sorted = values;
  std::ranges::sort(sorted);
  for (size_t j = 0; j < sorted.size(); j++)
    if (sorted[j] != sorted[0] + static_cast<float>(j))
      return false;
  return sorted[0] == roundEven(sorted[0]);
}

Status NearestCode::useValues(std::vector<float> codeValues, Ties ties, Position position) {
  values = std::move(codeValues);
  if (counts(values) && (ties == Ties::Default || ties == Ties::Even)) {
    kind = Kind::Count;
    least = *std::ranges::min_element(values);
    bitsOf.resize(values.size());
    for (size_t bits = 0; bits < values.size(); bits++)
      bitsOf[static_cast<size_t>(values[bits] - least)] = bits;
    return {};
  }
  if (ties == Ties::Default) {
    if (std::ranges::adjacent_find(values, std::ranges::greater_equal()) != values.end())
      return format->error(
          position,
          fmt::format("the codes of '{}' neither count nor ascend: say which of equally near ones is taken ('ties')",
                      field->name));
    kind = Kind::Ascending;
    entries.emplace_back(values);
    return {};
  }
  bitsOf.resize(values.size());
  std::iota(bitsOf.begin(), bitsOf.end(), 0);
  kind = Kind::Scan;
  if (ties == Ties::Low)
    std::ranges::sort(bitsOf, {}, [&](uint64_t bits) { return std::pair(values[bits], bits); });
  if (ties == Ties::Even)
    std::ranges::sort(bitsOf, {}, [](uint64_t bits) { return std::pair(bits % 2, bits); });
  if (ties == Ties::Sign) {
    const size_t half = values.size() / 2;
    for (size_t j = 0; j < half; j++)
      if (values[half + j] != -values[j])
        return format->error(
            position, fmt::format("'ties = sign': the upper half of the codes of '{}' is not the lower half negated",
                                  field->name));
    kind = Kind::SignedScan;
    bitsOf.resize(half);
    std::ranges::sort(bitsOf, {}, [&](uint64_t bits) { return std::pair(std::fabs(values[bits]), bits); });
  }
  return {};
}

Result<NearestCode> NearestCode::compile(const Format &format, const Field &field, Ties ties, Position position) {
  auto impossible = [&](std::string_view why) {
    return format.error(position, fmt::format("'nearest' cannot choose '{}': {}", field.name, why));
  };
  // The factoring does not outlive this function.
  const Factoring factoring(std::shared_ptr<const Format>(std::shared_ptr<void>(), &format));
  const DotTerm *main = nullptr;
  for (const DotTerm &t : factoring.terms())
    if (t.kind != CodeKind::None) {
      if (main || !reads(t.code, field.name))
        return impossible("the value is not scale * code + rest");
      main = &t;
    }
  if (!main)
    return impossible("the value does not depend on it");
  if (!field.array.empty() || !Scope::of(field).isWeight())
    return impossible("it is not one code for each weight");

  NearestCode result(format, field);
  QUANTC_ASSIGN(result.scale, product(format, main->group, main->negative));
  for (const DotTerm &t : factoring.terms()) {
    if (&t == main)
      continue;
    const auto zero = without(t.group, main->group);
    if (zero && std::ranges::all_of(*zero, &Factor::integer)) {
      QUANTC_ASSIGN(Product p, product(format, *zero, t.negative != main->negative));
      result.zeros.push_back(std::move(p));
    } else {
      QUANTC_ASSIGN(Product p, product(format, t.group, t.negative));
      result.rest.push_back(std::move(p));
    }
  }
  if (!isInteger(field.kind)) {
    const Factor &code = main->code.front();
    if (main->code.size() != 1 || code.expr->kind != ExprKind::Name || field.width > 8)
      return impossible("the value is not scale * code with a code of at most 8 bits");
    result.kind = Kind::Float;
    result.scale.power *= std::ldexp(1.0f, static_cast<int>(code.exponent));
    result.numbers.emplace_back(field.kind, field.width);
    for (uint64_t bits = 0; bits < uint64_t(1) << field.width; bits++)
      result.values.push_back(fromBits(field.kind, bits));
    return result;
  }
  if (field.width > 8 ||
      !std::ranges::all_of(main->code, [&](const Factor &f) { return readsOnly(format, *f.expr, field); }))
    return impossible("the code is not a function of at most 8 bits of this field alone");
  QUANTC_ASSIGN(std::vector<float> values, valuesByBits(format, field, main->code));
  QUANTC_TRY(result.useValues(std::move(values), ties, position));
  if (!result.zeros.empty() && result.kind != Kind::Count)
    return impossible("a zero point needs codes that count");
  return result;
}

template <typename Real>
void NearestCode::choose(const Real *target, const float *s, const float *zero, size_t count, uint64_t *bits) const {
  switch (kind) {
  case Kind::Count: {
    const Real last = static_cast<Real>(values.size() - 1), far = 0x1p22f;
    for (size_t i = 0; i < count; i++) {
      // Far numbers are brought near first: then rounding is exact.
      const Real ratio = clampTo(s[i] != 0 ? target[i] / s[i] : Real(0), -far, far);
      bits[i] = bitsOf[static_cast<size_t>(clampTo(roundEven(ratio) - zero[i] - least, Real(0), last))];
    }
    break;
  }
  case Kind::Ascending: {
    std::vector<float> ratio(count), index(count);
    for (size_t i = 0; i < count; i++)
      ratio[i] = static_cast<float>(target[i]) * divideOrZero(1.0f, s[i]);
    entries.front().indices(ratio.data(), count, index.data());
    for (size_t i = 0; i < count; i++)
      bits[i] = static_cast<uint64_t>(index[i]);
    break;
  }
  case Kind::Scan:
  case Kind::SignedScan: {
    const bool isSigned = kind == Kind::SignedScan;
    std::vector<Real> wanted(target, target + count), nearest(count, INFINITY);
    std::vector<Real> best(count, static_cast<Real>(bitsOf.front()));
    if (isSigned)
      for (Real &v : wanted)
        v = std::fabs(v);
    for (uint64_t candidate : bitsOf) {
      const Real value = values[candidate], code = static_cast<Real>(candidate);
      for (size_t i = 0; i < count; i++) {
        const Real error = std::fabs(value * s[i] - wanted[i]);
        best[i] = error < nearest[i] ? code : best[i];
        nearest[i] = error < nearest[i] ? error : nearest[i];
      }
    }
    const uint64_t half = values.size() / 2;
    for (size_t i = 0; i < count; i++)
      bits[i] = static_cast<uint64_t>(best[i]) + (isSigned && target[i] < 0 ? half : 0);
    break;
  }
  case Kind::Float:
    for (size_t i = 0; i < count; i++)
      bits[i] = numbers.front().bitsFor(s[i] != 0 ? static_cast<float>(target[i] / s[i]) : 0.0f);
    break;
  }
}
template void NearestCode::choose(const float *, const float *, const float *, size_t, uint64_t *) const;
template void NearestCode::choose(const double *, const float *, const float *, size_t, uint64_t *) const;

void NearestCode::nearestNumbers(const float *target, const float *s, const float *zero, size_t count,
                                 float *out) const {
  if (kind == Kind::Count) { // codes are their numbers: no look-up
    const float last = static_cast<float>(values.size() - 1);
    for (size_t i = 0; i < count; i++) {
      const float ratio = clampTo(s[i] != 0 ? target[i] / s[i] : 0.0f, -0x1p22f, 0x1p22f);
      out[i] = clampTo(roundEven(ratio) - zero[i] - least, 0.0f, last) + least;
    }
    return;
  }
  std::vector<uint64_t> bits(count);
  choose(target, s, zero, count, bits.data());
  for (size_t i = 0; i < count; i++)
    out[i] = values[bits[i]];
}

void NearestCode::terms(const FieldValues &fields, int64_t N, int64_t K, int64_t n, int64_t k, size_t count,
                        float *scaleOut, float *zeroOut, float *restOut) const {
  std::vector<float> part(count);
  auto sum = [&](const std::vector<Product> &products, float *out) {
    std::fill_n(out, count, 0.0f);
    for (const Product &p : products) {
      p.evaluate(fields, N, K, n, k, count, part.data());
      for (size_t i = 0; i < count; i++)
        out[i] += part[i];
    }
  };
  scale.evaluate(fields, N, K, n, k, count, scaleOut);
  sum(zeros, zeroOut);
  sum(rest, restOut);
}

void NearestCode::run(FieldValues &fields, int64_t N, int64_t K, int64_t n, int64_t k, size_t count, const float *x,
                      const float *givenScale, const float *keep) const {
  std::vector<float> s(count), target(x, x + count), part(count), zero(count);
  scale.evaluate(fields, N, K, n, k, count, s.data());
  const std::vector<float> stored = keep ? s : std::vector<float>();
  if (givenScale)
    s.assign(givenScale, givenScale + count);
  for (const Product &p : rest) {
    p.evaluate(fields, N, K, n, k, count, part.data());
    for (size_t i = 0; i < count; i++)
      target[i] -= part[i];
  }
  for (const Product &p : zeros) {
    p.evaluate(fields, N, K, n, k, count, part.data());
    for (size_t i = 0; i < count; i++)
      zero[i] += part[i];
  }

  std::vector<uint64_t> bits(count);
  choose(target.data(), s.data(), zero.data(), count, bits.data());
  if (keep) { // a search may have counted further than the field does
    const auto last = static_cast<float>(values.size() - 1);
    for (size_t i = 0; i < count; i++)
      if (stored[i] == 0)
        bits[i] = keep[i] > 0 ? static_cast<uint64_t>(std::min(keep[i], last)) : 0;
  }

  std::vector<uint64_t> &out = fields[field->index];
  const bool rowMajor = !field->inside || format->block()->rows == 1;
  const int64_t first = cellIndex(*format, *field, n, k, N, K);
  for (size_t i = 0; i < count; i++)
    out[static_cast<size_t>(rowMajor ? first + int64_t(i) : cellIndex(*format, *field, n, k + int64_t(i), N, K))] =
        bits[i];
}

//===--- A coarser field by its definition ----------------------------------------------------------------------===//

static void collectFields(const Format &format, const Expr &e, std::vector<const Field *> &out) {
  if (const Field *f = e.kind == ExprKind::Name ? format.field(e.name) : nullptr;
      f && std::ranges::find(out, f) == out.end())
    out.push_back(f);
  for (const ExprPtr &a : e.args)
    collectFields(format, *a, out);
}

Result<NearestDefinition> NearestDefinition::compile(const Format &format, const Field &field, Position position) {
  for (const Definition &d : format.source().definitions) {
    if (d.name == "value")
      continue;
    QUANTC_ASSIGN(ExprPtr resolved, format.resolve(d.value));
    std::vector<const Field *> fields;
    collectFields(format, *resolved, fields);
    if (std::ranges::find(fields, &field) == fields.end())
      continue;
    if (format.block() || field.width > 8 || !field.array.empty() || field.columns < 1 ||
        format.typeOf(*resolved) != ValueType::Float)
      return format.error(
          position,
          fmt::format("'nearest' cannot choose '{}': it is not one code of at most 8 bits of a format without blocks",
                      field.name));
    QUANTC_ASSIGN(Program program, Program::compile(format, resolved));
    NearestDefinition result(format, field, std::move(program));
    std::erase(fields, &field);
    result.others = std::move(fields);
    return result;
  }
  return format.error(position, fmt::format("'nearest' cannot choose '{}': no definition reads it", field.name));
}

void NearestDefinition::run(FieldValues &fields, int64_t N, int64_t K, const float *wanted) const {
  // A row of weights in which the field takes every pattern, and all other fields are those of the cell at hand.
  const int64_t patterns = int64_t(1) << field->width, probeK = patterns * field->columns;
  FieldValues probe = zeroFields(*format, 1, probeK);
  for (int64_t p = 0; p < patterns; p++)
    probe[field->index][static_cast<size_t>(p)] = static_cast<uint64_t>(p);
  std::vector<float> decoded(static_cast<size_t>(probeK));
  std::vector<std::pair<float, uint64_t>> candidates;

  std::vector<int64_t> at(others.size(), -1);
  std::vector<uint64_t> &out = fields[field->index];
  for (size_t cell = 0; cell < out.size(); cell++) {
    const Region region{N, K};
    const auto [n, k] = region.firstWeight(Scope::of(*field), cell);
    bool same = cell > 0;
    for (size_t f = 0; f < others.size(); f++) {
      const int64_t index = cellIndex(*format, *others[f], n, k, N, K);
      same &= index == at[f];
      at[f] = index;
    }
    if (!same) {
      for (size_t f = 0; f < others.size(); f++) {
        std::vector<uint64_t> &to = probe[others[f]->index];
        const size_t array = static_cast<size_t>(others[f]->arraySize());
        for (size_t i = 0; i < to.size(); i++)
          to[i] = fields[others[f]->index][static_cast<size_t>(at[f]) + i % array];
      }
      definition.floats(probe, 1, probeK, 0, 0, decoded.size(), decoded.data());
      candidates.clear();
      for (int64_t p = 0; p < patterns; p++)
        candidates.emplace_back(decoded[static_cast<size_t>(p * field->columns)], static_cast<uint64_t>(p));
      std::ranges::sort(candidates);
    }
    const auto above = std::ranges::lower_bound(candidates, std::pair(wanted[cell], uint64_t(0)));
    if (above == candidates.begin() || above == candidates.end()) {
      out[cell] = above == candidates.begin()
                      ? above->second
                      : std::ranges::lower_bound(candidates, std::pair(candidates.back().first, uint64_t(0)))->second;
      continue;
    }
    // The first candidate with the value just below.
    const auto below = std::ranges::lower_bound(candidates, std::pair(above[-1].first, uint64_t(0)));
    const double toBelow = double(wanted[cell]) - below->first, toAbove = double(above->first) - wanted[cell];
    out[cell] = toBelow <= toAbove ? below->second : above->second;
  }
}
