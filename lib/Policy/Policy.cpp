//===- Policy.cpp - which format each tensor of a model gets ----------------------------------------------------===//

#include "quantc/Policy/Policy.h"
#include "quantc/Support/Json.h"
#include "quantc/Support/Text.h"
#include <algorithm>
#include <charconv>

using namespace quantc;
using nlohmann::json;
namespace fs = std::filesystem;

int64_t PolicyTensor::layer() const {
  if (!name.starts_with("blk."))
    return -1;
  int64_t layer = -1;
  std::from_chars(name.data() + 4, name.data() + name.size(), layer);
  return layer;
}

std::string PolicyTensor::role(const PolicyModel &model) const {
  std::string_view role = name;
  if (role.ends_with(".weight"))
    role.remove_suffix(7);
  if (layer() >= 0)
    role.remove_prefix(std::min(role.find('.', 4) + 1, role.size()));
  return model.tied && role == "token_embd" ? "output" : std::string(role);
}

Result<bool> quantc::inLayerSet(std::string_view set, int64_t i, int64_t n) {
  if (set == "more_bits")
    return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
  if (set == "first_eighth")
    return i < n / 8;
  if (set == "first_sixteenth")
    return i < n / 16;
  return fail("the set of layers {} is not known; there are more_bits, first_eighth, first_sixteenth", inQuotes(set));
}

Policy Policy::uniform(std::string format) {
  Policy policy;
  policy.base = std::move(format);
  return policy;
}

static constexpr uint64_t maxPolicyBytes = 1 << 20;

static std::string namesIn(const fs::path &folder) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto &entry : fs::directory_iterator(folder, ignored))
    if (entry.path().extension() == ".json" && entry.path().stem() != "fallbacks")
      names.push_back(entry.path().stem().string());
  std::ranges::sort(names);
  return fmt::format("{}", fmt::join(names, " "));
}

Result<Policy> Policy::load(const std::string &nameOrFile, const fs::path &data) {
  fs::path path = nameOrFile;
  std::error_code ignored;
  if (nameOrFile.find('/') == std::string::npos && !fs::is_regular_file(path, ignored)) {
    path = data / "policies" / (nameOrFile + ".json");
    if (!fs::is_regular_file(path, ignored))
      return fail("there is no policy '{}'; known: {}", nameOrFile, namesIn(data / "policies"));
  }
  QUANTC_ASSIGN(json root, readJsonObject(path, maxPolicyBytes));
  try {
    Policy policy;
    for (auto &[key, value] : root.items())
      if (key != "about" && key != "file_type" && key != "format" && key != "rules" && key != "fallbacks")
        return fail("{}: a policy has no {}", path.string(), inQuotes(key));
    policy.base = root.at("format").get<std::string>();
    if (root.contains("file_type"))
      policy.ggufFileType = root.at("file_type").get<uint32_t>();
    for (const json &node : root.value("rules", json::array())) {
      for (auto &[key, value] : node.items())
        if (key != "name" && key != "tensor" && key != "layers" && key != "first_layers" && key != "heads_per_kv" &&
            key != "format")
          return fail("{}: a rule has no {}", path.string(), inQuotes(key));
      Rule rule{.name = node.value("name", ""),
                .tensor = node.value("tensor", ""),
                .layers = node.value("layers", ""),
                .format = node.at("format").get<std::string>()};
      rule.firstLayers = node.value("first_layers", int64_t(-1));
      rule.headsPerKv = node.value("heads_per_kv", int64_t(0));
      if (!rule.layers.empty())
        if (auto known = inLayerSet(rule.layers, 0, 1); !known)
          return failAt(path.string(), known.error());
      policy.rules.push_back(std::move(rule));
    }
    if (root.contains("fallbacks")) {
      QUANTC_ASSIGN(json table,
                    readJsonObject(path.parent_path() / root.at("fallbacks").get<std::string>(), maxPolicyBytes));
      for (auto &[from, to] : table.items())
        if (from != "about")
          policy.fallbacks[from] = to.get<std::string>();
    }
    return policy;
  } catch (const json::exception &e) {
    return fail("{}: not a policy: {}", path.string(), inQuotes(e.what()));
  }
}

Result<bool> Policy::fits(const Rule &rule, const PolicyTensor &tensor, const PolicyModel &model) const {
  if (!rule.name.empty() && rule.name != tensor.name && rule.name + ".weight" != tensor.name)
    return false;
  if (!rule.tensor.empty() && rule.tensor != tensor.role(model))
    return false;
  if (rule.firstLayers >= 0 && tensor.layer() >= rule.firstLayers)
    return false;
  if (rule.headsPerKv > 0 && model.heads / std::max<int64_t>(model.kvHeads, 1) < rule.headsPerKv)
    return false;
  return rule.layers.empty() ? Result<bool>(true) : inLayerSet(rule.layers, tensor.layer(), model.layers);
}

Result<std::string> Policy::formatOf(const PolicyTensor &tensor, const PolicyModel &model, Catalog &catalog) const {
  std::string chosen = base;
  for (const Rule &rule : rules) {
    QUANTC_ASSIGN(bool applies, fits(rule, tensor, model));
    if (applies) {
      chosen = rule.format;
      break;
    }
  }
  auto holds = [&](const std::string &spec) -> Result<bool> {
    QUANTC_ASSIGN(auto format, catalog.format(spec));
    return format->checkShape(tensor.rows, tensor.columns).has_value();
  };
  QUANTC_ASSIGN(bool good, holds(chosen));
  for (const char *key : {"", "otherwise"}) {
    auto next = fallbacks.find(*key ? key : chosen);
    if (good || next == fallbacks.end())
      continue;
    chosen = next->second;
    QUANTC_ASSIGN(good, holds(chosen));
  }
  if (good)
    return chosen;
  std::vector<std::string> fitting;
  for (const std::string &name : catalog.formatNames())
    if (auto can = holds(name); can && *can)
      fitting.push_back(name);
  QUANTC_ASSIGN(auto format, catalog.format(chosen));
  return fail("'{}' ({} x {}): {}; formats that can hold it: {}", tensor.name, tensor.rows, tensor.columns,
              format->checkShape(tensor.rows, tensor.columns).error().message, fmt::join(fitting, " "));
}
