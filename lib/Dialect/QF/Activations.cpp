//===- Activations.cpp - which activations suit a weight --------------------------------------------------------===//

#include "quantc/Dialect/QF/Activations.h"
#include "quantc/Support/Json.h"
#include <algorithm>
#include <map>
#include <numeric>

using namespace quantc;
using namespace quantc::qf;

static constexpr int64_t leastGroup = 32, largestGroup = 256, vectorColumns = 16;

Result<ActivationFormat> ActivationFormat::load(const std::filesystem::path &data) {
  const std::filesystem::path file = data / "formats" / "activations.json";
  QUANTC_ASSIGN(const nlohmann::json root, readJsonObject(file));
  ActivationFormat format;
  for (const auto &[name, spec] : {std::pair("integer", &format.integers), std::pair("half", &format.half),
                                   std::pair("half_sums", &format.halfSums)}) {
    const auto found = root.find(name);
    if (found == root.end() || !found->is_string())
      return fail("{}: '{}' must be the specification of a format", file.string(), name);
    *spec = found->get<std::string>();
  }
  return format;
}

/// A pattern with numbers in place of names.
static std::string filled(std::string text, const std::map<std::string_view, int64_t> &numbers) {
  for (const auto &[name, value] : numbers)
    if (const size_t at = text.find(name); at != text.npos)
      text.replace(at, name.size(), std::to_string(value));
  return text;
}

std::string ActivationFormat::spec(const ActivationGroups &groups) const {
  return filled(integers, {{"{group}", groups.group}, {"{sum}", groups.sum}, {"{width}", groups.width}});
}

ActivationFormat::Choice ActivationFormat::suiting(std::shared_ptr<const Format> weight) const {
  if (const std::optional<ActivationGroups> groups = activationsFor(weight))
    return {spec(*groups), fmt::format("int8 activations: {} is integer codes times factors of {} columns or more",
                                       weight->spec(), groups->sum)};
  const Factoring factoring(weight);
  if (factoring.isHalfDot())
    return {half,
            fmt::format("bf16 activations: the codes of {} are no integers, but few enough for bf16", weight->spec())};
  return {"", fmt::format("f32 activations: {}", factoring.isIntegerDot()
                                                     ? "the factors of " + weight->spec() + " hold for odd runs"
                                                     : weight->spec() + " has codes for neither int8 nor bf16")};
}

ActivationFormat::Choice ActivationFormat::suitingExactly(std::shared_ptr<const Format> weight) const {
  const Factoring factoring(weight);
  int64_t run = 2 * vectorColumns; // sums are of runs of all factors
  for (const DotTerm &term : factoring.terms())
    run = std::gcd(run, term.run());
  if (!factoring.isHalfProduct() || run % vectorColumns)
    return {"", fmt::format("f32 activations: {} has no codes for bf16", weight->spec())};
  const bool hasSums =
      std::ranges::any_of(factoring.terms(), [](const DotTerm &term) { return term.kind == CodeKind::None; });
  return {hasSums ? filled(halfSums, {{"{sum}", run}}) : half,
          fmt::format("bf16 activations: the codes of {} are bf16 numbers", weight->spec())};
}

/// Whether all that multiplies sums of activations, and changes within a group, are integers of 16 bits.
static bool takesNarrowSums(const Factoring &factoring, int64_t group) {
  return std::ranges::all_of(factoring.terms(), [&](const DotTerm &term) {
    const auto [integer, range] = term.innerFactors(group);
    return integer && std::max(-range.low, range.high) <= INT16_MAX;
  });
}

int64_t qf::bytesInLines(const Format &activations) {
  constexpr int64_t line = 64;
  const int64_t bytes = activations.block()->bytes;
  return bytes > 2 * line ? ((bytes + line - 1) / line | 1) * line : bytes;
}

std::optional<ActivationGroups> qf::activationsFor(std::shared_ptr<const Format> format) {
  Factoring factoring(std::move(format));
  if (!factoring.isIntegerDot())
    return {};
  int64_t run = 0, coarsest = 0; // 0 is a whole row
  bool ofRow = false;
  for (const DotTerm &term : factoring.terms()) {
    run = std::gcd(run, term.run());
    for (const Factor &factor : term.group) {
      coarsest = std::max(coarsest, factor.run);
      ofRow |= factor.run == 0 && factor.expr->kind != ExprKind::Float && factor.expr->kind != ExprKind::Integer;
    }
  }
  if (run % vectorColumns)
    return {};
  if (run == 0)
    return ActivationGroups{largestGroup, largestGroup};
  if (run > largestGroup) { // its largest part
    for (int64_t group = largestGroup; group >= leastGroup; group -= vectorColumns)
      if (run % group == 0)
        return ActivationGroups{group, group};
    return {};
  }
  int64_t group = ofRow || coarsest > largestGroup ? largestGroup / run * run : coarsest;
  if (group < leastGroup)
    group = (leastGroup + run - 1) / run * run;
  // Narrow sums are multiplied in pairs.
  return ActivationGroups{group, run, group % (2 * run) == 0 && takesNarrowSums(factoring, group) ? 16 : 32};
}
