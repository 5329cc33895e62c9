//===- SearchStep.cpp - steps that call a named search ----------------------------------------------------------===//

#include "SearchStep.h"
#include <algorithm>

using namespace quantc;

namespace {
/// The constants of a call, evaluated.
class Constants {
public:
  Constants(const Format &format, const Evaluator &evaluator, const Expr &call)
      : format(format), evaluator(evaluator), call(call) {}

  const Expr *find(std::string_view key) const {
    for (const auto &[name, value] : call.named)
      if (name == key)
        return value.get();
    return nullptr;
  }
  /// A number within [low, high]; `fallback` where it is not given.
  Result<float> number(std::string_view key, float low, float high,
                       std::optional<float> fallback = std::nullopt) const {
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
      return format.error(e ? e->position : call.position,
                          fmt::format("'{}' of '{}' is a table of one dimension", key, call.name));
    std::vector<float> values = table->floats;
    for (int64_t v : table->integers)
      values.push_back(static_cast<float>(v));
    if (std::ranges::adjacent_find(values, std::ranges::greater_equal()) != values.end() || values[0] == 0)
      return format.error(e->position, fmt::format("the table of '{}' must ascend, and not begin with 0", call.name));
    return values;
  }

  /// A table of two dimensions with few levels, and the constant `want`.
  Result<std::shared_ptr<const search::Grid>> grid() const {
    const Expr *e = find("table");
    const Table *table = e ? format.table(e->name) : nullptr;
    if (!table || table->shape.size() != 2 || table->isFloat)
      return format.error(e ? e->position : call.position,
                          fmt::format("'table' of '{}' is a table of integers with two dimensions", call.name));
    QUANTC_ASSIGN(const int want, integer("want", 1, 16));
    auto made = search::Grid::create(table->integers, static_cast<size_t>(table->shape[1]), static_cast<size_t>(want));
    if (!made)
      return format.error(e->position, made.error().message);
    return std::make_shared<const search::Grid>(std::move(*made));
  }
  tl::unexpected<Error> error(std::string_view message) const { return format.error(call.position, message); }

private:
  const Format &format;
  const Evaluator &evaluator;
  const Expr &call;
};

using Out = std::span<float *const>;
} // namespace

static constexpr ResultShape one{.perCell = 1}, code{.span = 1};
static constexpr int maxLevels = 1 << 15, maxSteps = 1000, maxBits = 16;

static Result<BoundSearch> bindQx(const Constants &c) {
  QUANTC_ASSIGN(const int levels, c.integer("levels", 1, maxLevels));
  return BoundSearch{
      true, {one, code}, [=](const search::Cells &in, Out out) { search::qx(in, levels, out[0], out[1]); }};
}
static Result<BoundSearch> bindQ3s(const Constants &c) {
  QUANTC_ASSIGN(const int levels, c.integer("levels", 1, maxLevels));
  return BoundSearch{
      false, {one, code}, [=](const search::Cells &in, Out out) { search::q3s(in, levels, out[0], out[1]); }};
}
static Result<BoundSearch> bindQp(const Constants &c) {
  QUANTC_ASSIGN(const int levels, c.integer("levels", 1, 255));
  return BoundSearch{
      true, {one, code}, [=](const search::Cells &in, Out out) { search::qp(in, levels, out[0], out[1]); }};
}
static Result<BoundSearch> bindQkx(const Constants &c) {
  search::QkxConstants k{};
  QUANTC_ASSIGN(k.levels, c.integer("levels", 1, maxLevels));
  QUANTC_ASSIGN(k.rmin, c.number("rmin", -1e3f, 1e3f));
  QUANTC_ASSIGN(k.rdelta, c.number("rdelta", -1e3f, 1e3f));
  QUANTC_ASSIGN(k.steps, c.integer("steps", 0, maxSteps));
  QUANTC_ASSIGN(const int mad, c.integer("mad", 0, 1, 0));
  k.mad = mad != 0;
  return BoundSearch{
      true, {one, one, code}, [=](const search::Cells &in, Out out) { search::qkx(in, k, out[0], out[1], out[2]); }};
}
static Result<BoundSearch> bindTable(const Constants &c) {
  QUANTC_ASSIGN(const std::vector<float> table, c.ascendingTable("table"));
  QUANTC_ASSIGN(const int tries, c.integer("tries", 0, maxSteps));
  return BoundSearch{true, {one, code}, [=, entries = search::NearestEntry(table)](const search::Cells &in, Out out) {
                       search::tableSearch(in, entries, tries, out[0], out[1]);
                     }};
}
static Result<BoundSearch> bindAffineGroup(const Constants &c) {
  QUANTC_ASSIGN(const int bits, c.integer("bits", 1, maxBits));
  QUANTC_ASSIGN(const int symmetric, c.integer("sym", 0, 1, 0));
  return BoundSearch{false, {one, one}, [=](const search::Cells &in, Out out) {
                       search::affineGroup(in, bits, symmetric != 0, out[0], out[1]);
                     }};
}
static Result<BoundSearch> bindEdgeAffine(const Constants &c) {
  QUANTC_ASSIGN(const int bits, c.integer("bits", 1, maxBits));
  return BoundSearch{
      false, {one, one}, [=](const search::Cells &in, Out out) { search::edgeAffine(in, bits, out[0], out[1]); }};
}
static Result<BoundSearch> bindHalfQuadratic(const Constants &c) {
  search::HalfQuadraticConstants k{};
  QUANTC_ASSIGN(k.bits, c.integer("bits", 1, maxBits));
  QUANTC_ASSIGN(k.p, c.number("p", 0, 1));
  QUANTC_ASSIGN(k.beta, c.number("beta", 1e-3f, 1e6f));
  QUANTC_ASSIGN(k.iterations, c.integer("iterations", 1, maxSteps));
  return BoundSearch{
      false, {one, one}, [=](const search::Cells &in, Out out) { search::halfQuadratic(in, k, out[0], out[1]); }};
}
static Result<BoundSearch> bindPow2Scale(const Constants &c) {
  QUANTC_ASSIGN(const int emax, c.integer("emax", -64, 64));
  return BoundSearch{false, {one}, [=, even = c.word("mode", "even")](const search::Cells &in, Out out) {
                       search::pow2Scale(in, emax, even, out[0]);
                     }};
}

static Result<BoundSearch> bindGrid(const Constants &c) {
  QUANTC_ASSIGN(const std::shared_ptr<const search::Grid> grid, c.grid());
  search::GridConstants k{};
  const float levels = static_cast<float>(2 * grid->levels());
  QUANTC_ASSIGN(k.start, c.number("start", 0, levels));
  QUANTC_ASSIGN(k.step, c.number("step", 0, levels));
  QUANTC_ASSIGN(k.tries, c.integer("tries", 0, maxSteps));
  QUANTC_ASSIGN(k.zero, c.number("zero", 0, 1));
  k.parity = c.word("signs", "parity");
  k.seeded = c.word("seed", "qp");
  k.resnap = c.word("resnap", "always") ? search::Resnap::Always
             : c.word("resnap", "any")  ? search::Resnap::Any
                                        : search::Resnap::Changed;
  const ResultShape index{.span = grid->dimension()}, signs{.span = k.parity ? 8u : 1u};
  return BoundSearch{true, {one, index, signs}, [=](const search::Cells &in, Out out) {
                       search::gridSearch(in, *grid, k, out[0], out[1], out[2]);
                     }};
}
static Result<BoundSearch> bindSegment(const Constants &c) {
  QUANTC_ASSIGN(const std::shared_ptr<const search::Grid> grid, c.grid());
  search::SegmentConstants k{};
  QUANTC_ASSIGN(k.delta, c.number("delta", 0, 1));
  QUANTC_ASSIGN(k.halves, c.integer("halves", 1, 2));
  QUANTC_ASSIGN(k.zero, c.number("zero", 0, 1));
  if (grid->levels() != 3)
    return c.error("'segment_search' needs a table of three levels");
  const ResultShape index{.span = grid->dimension()}, shift{.perCell = static_cast<size_t>(k.halves)};
  return BoundSearch{true, {one, index, shift}, [=](const search::Cells &in, Out out) {
                       search::segmentSearch(in, *grid, k, out[0], out[1], out[2]);
                     }};
}

static constexpr std::pair<std::string_view, Result<BoundSearch> (*)(const Constants &)> searches[] = {
    {"qx", bindQx},
    {"q3s", bindQ3s},
    {"qp", bindQp},
    {"qkx", bindQkx},
    {"table_search", bindTable},
    {"affine_group", bindAffineGroup},
    {"edge_affine", bindEdgeAffine},
    {"half_quadratic", bindHalfQuadratic},
    {"pow2_scale", bindPow2Scale},
    {"grid_search", bindGrid},
    {"segment_search", bindSegment},
};
/// Names of the language for which there is no code.
static constexpr std::string_view unavailable[] = {"trellis_search", "additive_search"};

static auto find(std::string_view name) {
  return std::ranges::find(searches, name, [](const auto &entry) { return entry.first; });
}

bool quantc::isSearch(std::string_view name) {
  return find(name) != std::end(searches) || std::ranges::find(unavailable, name) != std::end(unavailable);
}

Result<BoundSearch> quantc::bindSearch(const Format &format, const Evaluator &evaluator, const Expr &call) {
  const auto entry = find(call.name);
  if (entry == std::end(searches))
    return format.error(call.position, fmt::format("the search '{}' is not available yet", call.name));
  const Constants constants(format, evaluator, call);
  if (call.args.size() != 1)
    return format.error(call.position, fmt::format("'{}' takes one argument", call.name));
  QUANTC_ASSIGN(BoundSearch bound, entry->second(constants));
  if (bound.weighted && !constants.find("w"))
    return format.error(call.position, fmt::format("'{}' needs 'w'", call.name));
  return bound;
}

/// The numbers of each cell, by index, where cells are no runs or of several sizes.
static std::map<size_t, std::vector<std::vector<size_t>>> cellsBySize(const Region &region, const Scope &numbers,
                                                                      const Scope &target,
                                                                      std::map<size_t, std::vector<size_t>> &cells) {
  std::vector<std::vector<size_t>> members(region.cells(target));
  for (size_t i = 0; i < region.cells(numbers); i++) {
    const auto [n, k] = region.firstWeight(numbers, i);
    members[region.cellOf(target, n, k)].push_back(i);
  }
  std::map<size_t, std::vector<std::vector<size_t>>> bySize;
  for (size_t cell = 0; cell < members.size(); cell++) {
    cells[members[cell].size()].push_back(cell);
    bySize[members[cell].size()].push_back(std::move(members[cell]));
  }
  return bySize;
}

Result<std::vector<Value>> quantc::runSearch(const Format &format, const Region &region, const Evaluator &evaluator,
                                             const BoundSearch &bound, const Expr &call, const Scope &scope,
                                             size_t results) {
  QUANTC_ASSIGN(const Value x, evaluator.evaluate(*call.args[0], scope));
  if (x.constant || !x.scope.refines(scope))
    return format.error(call.position,
                        fmt::format("'{}' needs numbers that are finer than the scope of its step", call.name));
  std::optional<Value> w;
  if (bound.weighted) {
    QUANTC_ASSIGN(const Value value, evaluator.evaluate(*Constants(format, evaluator, call).find("w"), x.scope));
    if (!value.constant && !x.scope.refines(value.scope))
      return format.error(call.position, fmt::format("the weights of '{}' are finer than its numbers", call.name));
    w = spread(region, value, x.scope);
  }

  const size_t cells = region.cells(scope), numbers = x.cells->size();
  const int64_t from = region.run(x.scope), to = region.run(scope);
  const bool runs = from && to && to % from == 0 && numbers == cells * static_cast<size_t>(to / from);
  std::vector<std::vector<float>> values;
  std::vector<Scope> scopes;
  for (size_t r = 0; r < results; r++) {
    const ResultShape &shape = bound.shapes[r];
    const size_t n = numbers / cells;
    if (!(shape.perCell == 1 || shape.span == 1) &&
        (!runs || (shape.span && n % shape.span != 0) || n % shape.count(n) != 0))
      return format.error(call.position, fmt::format("'{}' needs cells that are runs of a multiple of {} numbers",
                                                     call.name, shape.span ? shape.span : shape.perCell));
    values.emplace_back(shape.span == 1 ? numbers : cells * shape.count(n));
    scopes.push_back(shape.perCell == 1 ? scope
                     : shape.span == 1  ? x.scope
                                        : Scope{1, to / int64_t(shape.count(n)), scope.flat});
  }

  std::vector<float *> out(bound.shapes.size(), nullptr);
  if (runs) {
    for (size_t r = 0; r < results; r++)
      out[r] = values[r].data();
    bound.run({x.data(), w ? w->data() : nullptr, cells, numbers / cells}, out);
  } else {
    std::map<size_t, std::vector<size_t>> cellsOf;
    for (const auto &[size, members] : cellsBySize(region, x.scope, scope, cellsOf)) {
      std::vector<float> gx, gw;
      for (const auto &cell : members)
        for (size_t i : cell) {
          gx.push_back(x.data()[i]);
          if (w)
            gw.push_back(w->data()[i]);
        }
      std::vector<std::vector<float>> gathered;
      for (size_t r = 0; r < results; r++)
        out[r] = gathered.emplace_back(members.size() * bound.shapes[r].count(size)).data();
      bound.run({gx.data(), w ? gw.data() : nullptr, members.size(), size}, out);
      for (size_t r = 0; r < results; r++)
        for (size_t g = 0; g < members.size(); g++) {
          if (bound.shapes[r].perCell)
            values[r][cellsOf[size][g]] = gathered[r][g];
          else
            for (size_t j = 0; j < size; j++)
              values[r][members[g][j]] = gathered[r][g * size + j];
        }
    }
  }
  std::vector<Value> list;
  for (size_t r = 0; r < results; r++)
    list.push_back(Value::of(scopes[r], std::move(values[r])));
  return list;
}
