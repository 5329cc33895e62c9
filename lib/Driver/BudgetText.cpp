//===- BudgetText.cpp - budgets as users write them, and what they chose as a policy ------------------------------===//

#include "quantc/Driver/Budget.h"
#include "quantc/Support/Text.h"
#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

using namespace quantc;

Result<Budget> Budget::parse(const std::string &text) {
  const auto wrong = [&] {
    return fail("budget {}: expected bits per weight (4.25bpw), a size (3.9GB, 900MB, 1.5GiB, 700MiB), or a divergence "
                "(kld=0.02)",
                inQuotes(text));
  };
  std::string_view rest = text;
  const bool isDivergence = rest.starts_with("kld=");
  rest.remove_prefix(isDivergence ? 4 : 0);
  double value = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (error != std::errc() || !(value > 0) || !std::isfinite(value))
    return wrong();
  rest.remove_prefix(static_cast<size_t>(end - rest.data()));
  if (isDivergence)
    return rest.empty() ? Result<Budget>({Of::Divergence, value}) : wrong();
  if (rest == "bpw")
    return Budget{Of::BitsPerWeight, value};
  static const std::map<std::string_view, double> units = {{"GB", 1e9}, {"MB", 1e6}, {"GiB", 0x1p30}, {"MiB", 0x1p20}};
  const auto unit = units.find(rest);
  return unit == units.end() ? Result<Budget>(wrong()) : Budget{Of::Bytes, value * unit->second};
}

nlohmann::ordered_json BudgetPlan::policy() const {
  std::map<std::string, double> share;
  for (const BudgetTensor &tensor : tensors)
    share[tensor.candidates[tensor.chosen].format] += tensor.candidates[tensor.chosen].bytes;
  const auto most = std::ranges::max_element(share, {}, [](const auto &entry) { return entry.second; });
  nlohmann::ordered_json rules = nlohmann::ordered_json::array();
  for (const BudgetTensor &tensor : tensors)
    rules.push_back({{"name", tensor.name}, {"format", tensor.candidates[tensor.chosen].format}});
  return {{"about", fmt::format("{:.4f} bits per weight, {:.0f} bytes; rounded to nearest, KL divergence "
                                "{:.4g} on {} tokens",
                                bitsPerWeight, bytes, rounded, tokens)},
          {"format", most->first},
          {"rules", std::move(rules)}};
}
