//===- Clause.cpp - an encode clause, ready to run --------------------------------------------------------------===//

#include "Clause.h"
#include <algorithm>
#include <numeric>

using namespace quantc;

/// Weights of a tile, about: its numbers should fit the second-level cache.
static constexpr int64_t tileWeights = 1 << 15;

Result<Scope> Clause::scopeOf(const ScopeDecl &declared) const {
  switch (declared.kind) {
  case ScopeDecl::Weight:
    return Scope{};
  case ScopeDecl::Row:
    return Scope{1, 0, false};
  case ScopeDecl::Tensor:
    return Scope{0, 0, false};
  case ScopeDecl::Block:
    if (!format->block())
      return format->error(declared.position, "'per block' in a format without a block");
    return Scope{format->block()->rows, format->block()->columns, false};
  case ScopeDecl::Tile:
    break;
  }
  const Environment none;
  const Region region{1, 1};
  const Evaluator evaluator(*format, region, integers, none);
  constexpr float largest = 0x1p31f; // as checkShape has it
  auto extent = [&](const ExprPtr &declaredExtent) -> Result<int64_t> {
    QUANTC_ASSIGN(const float value, evaluator.constant(*declaredExtent));
    if (!(value >= 0 && value <= largest))
      return format->error(declared.position, "a scope holds at least one weight, and no more than a matrix can have");
    return static_cast<int64_t>(value);
  };
  Scope scope{1, 1, declared.flat};
  if (declared.rows) {
    QUANTC_ASSIGN(scope.rows, extent(declared.rows));
  }
  QUANTC_ASSIGN(scope.columns, extent(declared.columns));
  if (scope.flat && scope.columns < 1)
    return format->error(declared.position, "a scope holds at least one weight");
  return scope;
}

Status Clause::addStep(const EncodeStep &source) {
  ClauseStep step;
  step.source = &source;
  for (const auto &[position, name] : source.results) {
    StepResult result;
    result.name = name;
    result.field = format->field(name);
    result.absent = !result.field && format->source().field(name);
    if (const Definition *d = format->source().definition(name); d && !result.absent) {
      QUANTC_ASSIGN(result.inverse, InverseDefinition::compile(*format, *d, position));
    }
    step.results.push_back(std::move(result));
  }
  if (std::ranges::all_of(step.results, &StepResult::absent))
    return {};
  const StepResult &first = step.results.front();
  if (source.scope) {
    QUANTC_ASSIGN(step.scope, scopeOf(*source.scope));
  } else if (first.field) {
    step.scope = Scope::of(*first.field);
  }

  const Expr &e = *source.value;
  if (e.kind == ExprKind::Call && e.name == "nearest") {
    step.kind = ClauseStep::Nearest;
    Ties ties = Ties::Default;
    static constexpr std::pair<std::string_view, Ties> words[] = {
        {"first", Ties::First}, {"low", Ties::Low}, {"even", Ties::Even}, {"sign", Ties::Sign}};
    for (const auto &[key, value] : e.named)
      if (key == "ties")
        ties =
            std::ranges::find(words, std::string_view(value->name), &std::pair<std::string_view, Ties>::first)->second;
    if (!first.field)
      return format->error(source.position, "'nearest' gives a field");
    if (step.scope.isWeight()) {
      QUANTC_ASSIGN(step.nearest, NearestCode::compile(*format, *first.field, ties, e.position));
    } else {
      QUANTC_ASSIGN(step.nearestDefinition, NearestDefinition::compile(*format, *first.field, e.position));
    }
  } else if (e.kind == ExprKind::Call && e.name == "dynamic_map") {
    step.kind = ClauseStep::DynamicMap;
    if (!first.field || first.field->kind != FieldKind::F32 || format->cellCount(*first.field, 1, 1) != 256)
      return format->error(e.position, "'dynamic_map' gives a field of 256 f32");
  } else if (e.kind == ExprKind::Call && isSearch(e.name)) {
    step.kind = ClauseStep::Search;
    const Environment none;
    const Region region{1, 1};
    QUANTC_ASSIGN(step.search, bindSearch(*format, Evaluator(*format, region, integers, none), e));
  } else if (e.kind == ExprKind::Call && e.name == "refit") {
    step.kind = ClauseStep::Refit;
    for (const auto &[key, value] : e.named)
      if (key == "of")
        step.refit = format->field(value->name);
    if (!step.refit || isInteger(step.refit->kind) || e.named.size() != 3 || e.args.size() != 1)
      return format->error(e.position, "'refit' takes weights, 'of' (a float field), 'w' and 'scale'");
  } else if (e.kind == ExprKind::Call && e.name == "scale_search") {
    step.kind = ClauseStep::ScaleSearch;
    QUANTC_TRY(addScaleSearch(step));
  } else if (first.field && !first.field->array.empty()) {
    return format->error(source.position, fmt::format("'{}' is an array: no expression gives it", first.name));
  }
  if (step.scope.crossesTiles() && step.kind != ClauseStep::Expression && step.kind != ClauseStep::DynamicMap)
    return format->error(e.position, fmt::format("'{}' does not work on cells of all rows", e.name));
  steps.push_back(std::move(step));
  return {};
}

Status Clause::addScaleSearch(ClauseStep &step) const {
  const Expr &call = *step.source->value;
  const Field *field = step.results.front().field;
  if (!field || !field->array.empty() || call.args.size() != 1 || call.named.size() != 4)
    return format->error(call.position, "'scale_search' gives a field, and takes weights, 'w', 'least', 'most' and "
                                        "'steps'");
  const Environment none;
  const Region region{1, 1};
  const Evaluator evaluator(*format, region, integers, none);
  for (const auto &[key, value] : call.named) {
    if (key == "w")
      continue;
    QUANTC_ASSIGN(const float number, evaluator.constant(*value));
    const bool isSteps = key == "steps";
    if (!(number >= (isSteps ? 1.0f : -256.0f) && number <= 256))
      return format->error(value->position, fmt::format("'{}' is {}, not in {}..256", key, number, isSteps ? 1 : -256));
    if (isSteps)
      step.candidates.steps = static_cast<int>(number);
    else
      (key == "least" ? step.candidates.least : step.candidates.most) = number;
  }
  return {};
}

/// A search for scales tries the codes that the clause chooses later.
Status Clause::shareNearest() {
  for (auto step = steps.begin(); step != steps.end(); ++step) {
    if (step->kind != ClauseStep::ScaleSearch)
      continue;
    const auto last =
        std::find_if(step, steps.end(), [](const ClauseStep &s) { return s.kind == ClauseStep::Nearest && s.nearest; });
    if (last == steps.end())
      return format->error(step->source->position, "'scale_search' needs a later step 'nearest' for the codes");
    step->nearest = last->nearest;
  }
  return {};
}

static void namesOf(const Expr &e, std::set<std::string> &out) {
  if (e.kind == ExprKind::Name)
    out.insert(e.name);
  for (const ExprPtr &a : e.args)
    namesOf(*a, out);
  for (const auto &[key, value] : e.named)
    namesOf(*value, out);
}

void Clause::planPasses() {
  // A step over all rows ends a pass: what reads it runs in the next. Codes read all fields before them.
  std::vector<std::vector<size_t>> readsOf(steps.size());
  for (size_t s = 0; s < steps.size(); s++) {
    std::set<std::string> names;
    namesOf(*steps[s].source->value, names);
    const bool readsAll = steps[s].kind == ClauseStep::Nearest || steps[s].kind == ClauseStep::Refit ||
                          steps[s].kind == ClauseStep::ScaleSearch;
    for (size_t earlier = 0; earlier < s; earlier++) {
      const auto &results = steps[earlier].results;
      if (readsAll || std::ranges::any_of(results, [&](const StepResult &r) { return names.count(r.name); })) {
        readsOf[s].push_back(earlier);
        steps[s].pass = std::max(steps[s].pass, steps[earlier].pass + steps[earlier].overAllRows());
      }
    }
    passes = std::max(passes, steps[s].pass + 1 + steps[s].overAllRows());
  }
  for (size_t s = 0; s < steps.size(); s++) {
    if (!steps[s].overAllRows())
      continue;
    std::vector<size_t> work = readsOf[s];
    while (!work.empty()) {
      const size_t next = work.back();
      work.pop_back();
      if (!steps[next].overAllRows() && steps[next].alsoIn.insert(steps[s].pass).second)
        work.insert(work.end(), readsOf[next].begin(), readsOf[next].end());
    }
  }
}

void Clause::planTiles() {
  // Tiles end where cells end.
  int64_t &unit = rowUnit;
  unit = format->block() ? format->block()->rows : 1;
  auto include = [&](const Scope &s) {
    const int64_t rows = s.flat ? s.columns / std::gcd(s.columns, K) : std::max<int64_t>(s.rows, 1);
    unit = unit >= N || rows >= N ? N : std::lcm(unit, rows);
  };
  for (const Field &f : format->fields())
    include(Scope::of(f));
  for (const ClauseStep &s : steps)
    include(s.scope);
  tileRows = unit >= N ? N : std::min(N, std::max<int64_t>(1, tileWeights / K / unit) * unit);
}

Result<Clause> Clause::compile(const Format &format, int64_t N, int64_t K, bool importance) {
  QUANTC_TRY(format.checkShape(N, K));
  const EncodeClause *plain = format.encode(""), *guided = format.encode("imatrix");
  const EncodeClause *source = importance && guided ? guided : plain;
  if (!source)
    return fail("format '{}' {}", format.name(),
                guided ? "cannot be encoded without an importance matrix" : "has no encode clause");
  Clause clause;
  clause.format = &format;
  clause.N = N;
  clause.K = K;
  clause.importance = source == guided;
  clause.integers = format.integersFor(N, K);
  for (const EncodeStep &step : source->steps)
    QUANTC_TRY(clause.addStep(step));
  QUANTC_TRY(clause.shareNearest());
  clause.planPasses();
  clause.planTiles();
  return clause;
}
