//===- ManifestReader.h - values of a manifest's JSON ------------------------------------------------------------===//
#pragma once

#include "quantc/Support/Text.h"
#include <algorithm>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace quantc {

/// A value of the manifest and where it stands, which is spelled only for an error. The first error is kept and reading
/// goes on with zeros and empty texts: the caller looks once, at the end.
class ManifestReader {
public:
  ManifestReader(const nlohmann::ordered_json &value, std::string &problem) : value(value), problem(problem) {}

  ManifestReader member(const char *key) const {
    asked.push_back(key);
    const auto found = value.is_object() ? value.find(key) : value.end();
    const bool missing = !value.is_object() || found == value.end();
    if (missing)
      report(fmt::format("lacks {}", key));
    return ManifestReader(missing ? nothing() : *found, problem, this, key, 0);
  }
  bool has(const char *key) const { return value.is_object() && value.contains(key) && !value[key].is_null(); }
  /// Reports a key that no call of `member` has asked for.
  void finish() const {
    if (!value.is_object())
      return report("is no object");
    for (const auto &[key, ignored] : value.items())
      if (std::ranges::find(asked, key) == asked.end())
        return report("has an unknown key " + inQuotes(key));
  }
  std::string text() const {
    if (value.is_string())
      return value.get<std::string>();
    report("is no string");
    return {};
  }
  bool flag() const {
    if (!value.is_boolean())
      report("is neither true nor false");
    return value.is_boolean() && value.get<bool>();
  }
  /// An integer of [0, most].
  uint64_t count(uint64_t most = INT64_MAX) const {
    if (value.is_number_unsigned() && value.get<uint64_t>() <= most)
      return value.get<uint64_t>();
    report(fmt::format("is no integer from 0 to {}", most));
    return 0;
  }
  int32_t token() const { return static_cast<int32_t>(count(INT32_MAX)); }
  /// The place of a text in a list.
  template <typename Names> size_t choice(const Names &names) const {
    const std::string name = text();
    const auto found = std::ranges::find(names, name);
    if (found != names.end())
      return static_cast<size_t>(found - names.begin());
    report(fmt::format("is {}; {} are possible", inQuotes(name), fmt::join(names, ", ")));
    return 0;
  }
  /// Elements of an array.
  template <typename Read> auto list(Read read) const {
    std::vector<std::invoke_result_t<Read, const ManifestReader &>> result;
    if (!value.is_array())
      report("is no array");
    else
      for (size_t i = 0; i < value.size(); ++i)
        result.push_back(std::invoke(read, ManifestReader(value[i], problem, this, nullptr, i)));
    return result;
  }
  /// Members of an object whose keys are names.
  template <typename Read> auto named(Read read) const {
    std::vector<std::pair<std::string, std::invoke_result_t<Read, const ManifestReader &>>> result;
    if (!value.is_object())
      report("is no object");
    else
      for (const auto &[key, element] : value.items())
        result.emplace_back(key, std::invoke(read, ManifestReader(element, problem, this, key.c_str(), 0)));
    return result;
  }
  const nlohmann::ordered_json &json() const { return value; }

  void report(const std::string &what) const {
    if (problem.empty())
      problem = (parent ? place() : "the manifest") + " " + what;
  }

private:
  ManifestReader(const nlohmann::ordered_json &value, std::string &problem, const ManifestReader *parent,
                 const char *key, size_t index)
      : value(value), problem(problem), parent(parent), key(key), index(index) {}
  static const nlohmann::ordered_json &nothing() {
    static const nlohmann::ordered_json null;
    return null;
  }
  std::string place() const {
    const std::string above = parent->parent ? parent->place() : "";
    if (!key)
      return fmt::format("{}[{}]", above, index);
    return above.empty() ? std::string(key) : above + "." + key;
  }

  const nlohmann::ordered_json &value;
  std::string &problem;
  const ManifestReader *parent = nullptr;
  const char *key = nullptr; ///< null: element `index` of an array
  size_t index = 0;
  mutable std::vector<std::string_view> asked;
};

/// Reads an object and reports keys that `read` did not ask for.
template <typename Read> auto whole(Read read) {
  return [read](const ManifestReader &object) {
    auto result = read(object);
    object.finish();
    return result;
  };
}

/// An array of what `write` makes of each entry.
template <typename List, typename Write> nlohmann::ordered_json arrayOf(const List &list, Write write) {
  nlohmann::ordered_json result = nlohmann::ordered_json::array();
  for (const auto &entry : list)
    result.push_back(write(entry));
  return result;
}

} // namespace quantc
