//===- EncodeCheck.cpp - whether an encode clause makes sense ---------------------------------------------------===//

#include "EncodeCheck.h"
#include "Resolve.h"
#include <algorithm>

using namespace quantc;

namespace {
/// What a clause may call: least and most results, and its constants.
struct Search {
  const char *name;
  size_t least, most;
  std::vector<std::string_view> constants;
};
const std::vector<Search> searches = {
    {"abs", 1, 1, {}},
    {"sqrt", 1, 1, {}},
    {"div0", 1, 1, {}},
    {"floor", 1, 1, {}},
    {"round", 1, 1, {}},
    {"round_away", 1, 1, {}},
    {"clamp", 1, 1, {}},
    {"min", 1, 1, {}},
    {"max", 1, 1, {}},
    {"sum", 1, 1, {}},
    {"mean", 1, 1, {}},
    {"absmax", 1, 1, {}},
    {"signed_absmax", 1, 1, {}},
    {"dynamic_map", 1, 1, {}},
    {"e4m3_up", 1, 1, {}},
    {"qx", 1, 2, {"w", "levels"}},
    {"qp", 1, 2, {"w", "levels"}},
    {"q3s", 1, 2, {"levels"}},
    {"qkx", 2, 3, {"w", "levels", "rmin", "rdelta", "steps", "mad"}},
    {"table_search", 1, 2, {"w", "table", "tries"}},
    {"nearest", 1, 1, {"ties", "keep", "scale"}},
    {"pow2_scale", 1, 1, {"emax", "mode"}},
    {"refit", 1, 1, {"of", "w", "scale"}},
    {"scale_search", 1, 1, {"w", "least", "most", "steps"}},
    {"grid_search", 3, 3, {"w", "table", "want", "signs", "start", "step", "tries", "seed", "resnap", "zero"}},
    {"segment_search", 3, 3, {"w", "table", "delta", "want", "halves", "zero"}},
    {"affine_group", 2, 2, {"bits", "sym"}},
    {"edge_affine", 2, 2, {"bits"}},
    {"half_quadratic", 2, 2, {"bits", "p", "beta", "iterations"}},
    {"trellis_search", 1, 1, {"w"}},
    {"additive_search", 2, 2, {"beams"}}};

/// Constants whose value is a word.
const std::pair<std::string_view, std::string_view> words[] = {{"signs", "parity free"},
                                                               {"ties", "first low even sign"},
                                                               {"mode", "floor even"},
                                                               {"resnap", "always changed any"},
                                                               {"seed", "qp"}};

class Checker {
public:
  explicit Checker(const Format &format) : format(format) {
    const Description &d = format.source();
    known = {"x", "im"};
    for (const Table &t : d.tables)
      known.insert(t.name);
    for (const ParamDecl &p : d.params)
      known.insert(p.name);
    for (const FieldDecl &f : d.fields)
      known.insert(f.name);
    for (const Definition &definition : d.definitions)
      known.insert(definition.name);
  }
  Status step(const EncodeStep &step);
  Status finish(const EncodeClause &clause) const {
    for (const Field &f : format.fields())
      if (!done.count(f.name))
        return format.error(clause.position, fmt::format("encode does not set field '{}'", f.name));
    return {};
  }

private:
  Status walk(const Expr &e) const;
  void setsFieldsOf(const Expr &e) {
    if (e.kind == ExprKind::Name && format.field(e.name))
      done.insert(e.name);
    for (const ExprPtr &a : e.args)
      setsFieldsOf(*a);
  }

  const Format &format;
  std::set<std::string> known, done;
};

Status Checker::walk(const Expr &e) const {
  if (e.kind == ExprKind::Name && !known.count(e.name))
    return format.error(e.position, fmt::format("unknown name '{}'", e.name));
  if (e.kind == ExprKind::Call) {
    auto search = std::ranges::find(searches, e.name, &Search::name);
    if (search == searches.end())
      return format.error(e.position, fmt::format("unknown search '{}'", e.name));
    for (auto &[key, value] : e.named) {
      if (std::ranges::find(search->constants, key) == search->constants.end())
        return format.error(value->position, fmt::format("'{}' has no constant '{}'", e.name, key));
      auto allowed =
          std::ranges::find(words, std::string_view(key), &std::pair<std::string_view, std::string_view>::first);
      if (allowed == std::end(words)) {
        QUANTC_TRY(walk(*value));
        continue;
      }
      const std::string one = " " + (value->kind == ExprKind::Name ? value->name : "?") + " ";
      if ((" " + std::string(allowed->second) + " ").find(one) == std::string::npos)
        return format.error(value->position, fmt::format("'{}' is one of {}", key, allowed->second));
    }
  }
  for (const ExprPtr &a : e.args)
    QUANTC_TRY(walk(*a));
  return {};
}

Status Checker::step(const EncodeStep &s) {
  QUANTC_TRY(walk(*s.value));
  const bool isCall = s.value->kind == ExprKind::Call;
  const auto search = isCall ? std::ranges::find(searches, s.value->name, &Search::name) : searches.end();
  const size_t least = isCall ? search->least : 1, most = isCall ? search->most : 1;
  if (s.results.size() < least || s.results.size() > most)
    return format.error(s.position,
                        fmt::format("'{}' gives {} results, not {}", isCall ? s.value->name : "an expression",
                                    least == most ? fmt::format("{}", least) : fmt::format("{} or {}", least, most),
                                    s.results.size()));
  for (auto &[position, name] : s.results) {
    if (format.source().field(name)) {
      done.insert(name);
    } else if (const Definition *d = format.source().definition(name)) { // found by inverting the definition
      QUANTC_ASSIGN(ExprPtr resolved, Resolver(format).resolve(d->value));
      setsFieldsOf(*resolved);
    } else if (!known.count(name) && !s.scope && s.results.size() < most + (most == 1)) {
      return format.error(position, fmt::format("'{}' is no field: give its scope with 'per'", name));
    }
    known.insert(name);
  }
  return {};
}
} // namespace

Status quantc::checkEncode(const Format &format, const EncodeClause &clause) {
  Checker checker(format);
  for (const EncodeStep &step : clause.steps)
    QUANTC_TRY(checker.step(step));
  return checker.finish(clause);
}
