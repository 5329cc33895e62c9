//===- SearchStep.cpp - steps that call a named search ----------------------------------------------------------===//

#include "SearchStep.h"
#include "quantc/Encode/Searches.h"
#include <algorithm>
#include <array>
#include <functional>

using namespace quantc;

namespace {
/// What a search writes: up to two numbers a cell, and codes (null: not wanted).
struct Outputs {
  float *first, *second, *codes;
};

/// The constants of a call, evaluated.
class Constants {
public:
  Constants(const Format &format, const Evaluator &evaluator, const Expr &call) : format(format), evaluator(evaluator), call(call) {}

  const Expr *find(std::string_view key) const {
    for (const auto &[name, value] : call.named)
      if (name == key)
        return value.get();
    return nullptr;
  }
  /// A number within [low, high]; `fallback` where it is not given.
  Result<float> number(std::string_view key, float low, float high, std::optional<float> fallback = std::nullopt) const {
    const Expr *e = find(key);
    if (!e && fallback)
      return *fallback;
    if (!e)
      return format.error(call.position, fmt::format("'{}' needs '{}'", call.name, key));
    QUANTC_ASSIGN(const float value, evaluator.constant(*e));
    if (!(value >= low && value <= high))
      return format.error(e->position, fmt::format("'{}' is {}, not in {}..{}", key, value, low, high));
    return value;
  }
  Result<int> integer(std::string_view key, int low, int high, std::optional<int> fallback = std::nullopt) const {
    QUANTC_ASSIGN(const float value, number(key, static_cast<float>(low), static_cast<float>(high),
                                            fallback ? std::optional(static_cast<float>(*fallback)) : std::nullopt));
    return static_cast<int>(value);
  }
  bool word(std::string_view key, std::string_view value) const {
    const Expr *e = find(key);
    return e && e->name == value;
  }
  /// A table of one dimension, ascending.
  Result<std::vector<float>> ascendingTable(std::string_view key) const {
    const Expr *e = find(key);
    const Table *table = e ? format.table(e->name) : nullptr;
    if (!table || table->shape.size() != 1 || table->shape[0] < 2)
      return format.error(e ? e->position : call.position, fmt::format("'{}' of '{}' is a table of one dimension", key, call.name));
    std::vector<float> values = table->floats;
    for (int64_t v : table->integers)
      values.push_back(static_cast<float>(v));
    if (std::ranges::adjacent_find(values, std::ranges::greater_equal()) != values.end() || values[0] == 0)
      return format.error(e->position, fmt::format("the table of '{}' must ascend, and not begin with 0", call.name));
    return values;
  }

private:
  const Format &format;
  const Evaluator &evaluator;
  const Expr &call;
};

using Run = std::function<void(const search::Cells &, const Outputs &)>;

struct SearchEntry {
  std::string_view name;
  unsigned perCell; ///< numbers for each cell
  bool weighted;    ///< takes `w`
  Result<Run> (*bind)(const Constants &);
};
} // namespace

static constexpr int maxLevels = 1 << 15, maxSteps = 1000, maxBits = 16;

static Result<Run> bindQx(const Constants &c) {
  QUANTC_ASSIGN(const int levels, c.integer("levels", 1, maxLevels));
  return Run([=](const search::Cells &in, const Outputs &out) { search::qx(in, levels, out.first, out.codes); });
}
static Result<Run> bindQ3s(const Constants &c) {
  QUANTC_ASSIGN(const int levels, c.integer("levels", 1, maxLevels));
  return Run([=](const search::Cells &in, const Outputs &out) { search::q3s(in, levels, out.first, out.codes); });
}
static Result<Run> bindQp(const Constants &c) {
  QUANTC_ASSIGN(const int levels, c.integer("levels", 1, 255));
  return Run([=](const search::Cells &in, const Outputs &out) { search::qp(in, levels, out.first, out.codes); });
}
static Result<Run> bindQkx(const Constants &c) {
  search::QkxConstants k{};
  QUANTC_ASSIGN(k.levels, c.integer("levels", 1, maxLevels));
  QUANTC_ASSIGN(k.rmin, c.number("rmin", -1e3f, 1e3f));
  QUANTC_ASSIGN(k.rdelta, c.number("rdelta", -1e3f, 1e3f));
  QUANTC_ASSIGN(k.steps, c.integer("steps", 0, maxSteps));
  QUANTC_ASSIGN(const int mad, c.integer("mad", 0, 1, 0));
  k.mad = mad != 0;
  return Run([=](const search::Cells &in, const Outputs &out) { search::qkx(in, k, out.first, out.second, out.codes); });
}
static Result<Run> bindTable(const Constants &c) {
  QUANTC_ASSIGN(const std::vector<float> table, c.ascendingTable("table"));
  QUANTC_ASSIGN(const int tries, c.integer("tries", 0, maxSteps));
  return Run([=, entries = search::NearestEntry(table)](const search::Cells &in, const Outputs &out) {
    search::tableSearch(in, entries, tries, out.first, out.codes);
  });
}
static Result<Run> bindAffineGroup(const Constants &c) {
  QUANTC_ASSIGN(const int bits, c.integer("bits", 1, maxBits));
  QUANTC_ASSIGN(const int symmetric, c.integer("sym", 0, 1, 0));
  return Run([=](const search::Cells &in, const Outputs &out) { search::affineGroup(in, bits, symmetric != 0, out.first, out.second); });
}
static Result<Run> bindEdgeAffine(const Constants &c) {
  QUANTC_ASSIGN(const int bits, c.integer("bits", 1, maxBits));
  return Run([=](const search::Cells &in, const Outputs &out) { search::edgeAffine(in, bits, out.first, out.second); });
}
static Result<Run> bindHalfQuadratic(const Constants &c) {
  search::HalfQuadraticConstants k{};
  QUANTC_ASSIGN(k.bits, c.integer("bits", 1, maxBits));
  QUANTC_ASSIGN(k.p, c.number("p", 0, 1));
  QUANTC_ASSIGN(k.beta, c.number("beta", 1e-3f, 1e6f));
  QUANTC_ASSIGN(k.iterations, c.integer("iterations", 1, maxSteps));
  return Run([=](const search::Cells &in, const Outputs &out) { search::halfQuadratic(in, k, out.first, out.second); });
}
static Result<Run> bindPow2Scale(const Constants &c) {
  QUANTC_ASSIGN(const int emax, c.integer("emax", -64, 64));
  return Run([=, even = c.word("mode", "even")](const search::Cells &in, const Outputs &out) {
    search::pow2Scale(in, emax, even, out.first);
  });
}

static constexpr SearchEntry searches[] = {
    {"qx", 1, true, bindQx},
    {"q3s", 1, false, bindQ3s},
    {"qp", 1, true, bindQp},
    {"qkx", 2, true, bindQkx},
    {"table_search", 1, true, bindTable},
    {"affine_group", 2, false, bindAffineGroup},
    {"edge_affine", 2, false, bindEdgeAffine},
    {"half_quadratic", 2, false, bindHalfQuadratic},
    {"pow2_scale", 1, false, bindPow2Scale},
};
/// Names of the language for which there is no code.
static constexpr std::string_view unavailable[] = {"grid_search", "segment_search", "refit", "trellis_search", "additive_search"};

static const SearchEntry *entryOf(std::string_view name) {
  const auto found = std::ranges::find(searches, name, &SearchEntry::name);
  return found == std::end(searches) ? nullptr : found;
}

bool quantc::isSearch(std::string_view name) {
  return entryOf(name) || std::ranges::find(unavailable, name) != std::end(unavailable);
}

Status quantc::checkSearch(const Format &format, const ClauseStep &step) {
  if (!entryOf(step.search))
    return format.error(step.source->value->position, fmt::format("the search '{}' is not available yet", step.search));
  return {};
}

/// Runs a search on the cells of `target`, whose numbers are those of `x` in index order; codes come back in the order of `x`.
static void runOnCells(const Region &region, const Run &run, const Value &x, const Value *w, const Scope &target,
                       const std::array<float *, 2> &out, float *codes) {
  const size_t cells = region.cells(target), numbers = x.cells->size();
  const int64_t from = region.run(x.scope), to = region.run(target);
  if (from && to && to % from == 0 && numbers == cells * static_cast<size_t>(to / from))
    return run({x.data(), w ? w->data() : nullptr, cells, numbers / cells}, {out[0], out[1], codes});

  // Cells that are no runs, or of several sizes: gathered, one size at a time.
  std::vector<std::vector<size_t>> members(cells);
  for (size_t i = 0; i < numbers; i++) {
    const auto [n, k] = region.firstWeight(x.scope, i);
    members[region.cellOf(target, n, k)].push_back(i);
  }
  std::map<size_t, std::vector<size_t>> bySize;
  for (size_t cell = 0; cell < cells; cell++)
    bySize[members[cell].size()].push_back(cell);
  for (const auto &[size, group] : bySize) {
    std::vector<float> gx, gw, first(group.size()), second(group.size()), gcodes(codes ? group.size() * size : 0);
    for (size_t cell : group)
      for (size_t i : members[cell]) {
        gx.push_back(x.data()[i]);
        if (w)
          gw.push_back(w->data()[i]);
      }
    run({gx.data(), w ? gw.data() : nullptr, group.size(), size}, {first.data(), second.data(), codes ? gcodes.data() : nullptr});
    for (size_t g = 0; g < group.size(); g++) {
      out[0][group[g]] = first[g];
      if (out[1])
        out[1][group[g]] = second[g];
      for (size_t j = 0; codes && j < size; j++)
        codes[members[group[g]][j]] = gcodes[g * size + j];
    }
  }
}

Result<SearchResults> quantc::runSearch(const Format &format, const Region &region, const Evaluator &evaluator, const ClauseStep &step) {
  const Expr &call = *step.source->value;
  const SearchEntry &entry = *entryOf(step.search);
  const Constants constants(format, evaluator, call);
  if (call.args.size() != 1)
    return format.error(call.position, fmt::format("'{}' takes one argument", call.name));
  QUANTC_ASSIGN(const Run run, entry.bind(constants));
  QUANTC_ASSIGN(const Value x, evaluator.evaluate(*call.args[0], step.scope));
  if (x.constant || !x.scope.refines(step.scope))
    return format.error(call.position, fmt::format("'{}' needs numbers that are finer than the scope of its step", call.name));
  std::optional<Value> w;
  if (entry.weighted) {
    const Expr *e = constants.find("w");
    if (!e)
      return format.error(call.position, fmt::format("'{}' needs 'w'", call.name));
    QUANTC_ASSIGN(const Value value, evaluator.evaluate(*e, x.scope));
    w = spread(region, value, x.scope);
  }

  std::array<std::vector<float>, 2> perCell;
  for (unsigned j = 0; j < entry.perCell; j++)
    perCell[j].resize(region.cells(step.scope));
  std::vector<float> codes(step.results.size() > entry.perCell ? x.cells->size() : 0);
  runOnCells(region, run, x, w ? &*w : nullptr, step.scope, {perCell[0].data(), perCell[1].empty() ? nullptr : perCell[1].data()},
             codes.empty() ? nullptr : codes.data());

  SearchResults results;
  for (unsigned j = 0; j < entry.perCell; j++)
    results.values.push_back(Value::of(step.scope, std::move(perCell[j])));
  if (!codes.empty())
    results.values.push_back(Value::of(x.scope, std::move(codes)));
  return results;
}
