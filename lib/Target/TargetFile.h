//===- TargetFile.h - what the files of targets/ share ----------------------------------------------------------===//
#pragma once

#include "quantc/Support/Json.h"
#include "quantc/Target/GPUTarget.h"
#include <algorithm>
#include <fmt/ranges.h>
#include <tuple>

namespace quantc {

/// The JSON object in a file of targets/.
inline Result<nlohmann::json> readTargetFile(const std::filesystem::path &file) {
  return readJsonObject(file, 1 << 20);
}

/// Reads the keys of a target file, those of an object in it as "object.key". Goes on where one is missing or has a
/// wrong type, and remembers the first.
class TargetReader {
public:
  explicit TargetReader(const nlohmann::json &root) : root(root) {}

  /// Whether there is this key of the target itself.
  bool has(const char *key) const { return member(root, key) != nullptr; }

  std::string text(const char *key) { return read<std::string>(key, "is no text", &nlohmann::json::is_string); }

  std::vector<std::string> texts(const char *key) {
    return read<std::vector<std::string>>(key, "is no list of texts", [](const nlohmann::json &value) {
      return value.is_array() && std::ranges::all_of(value, [](const auto &each) { return each.is_string(); });
    });
  }

  bool flag(const char *key) { return read<bool>(key, "is neither true nor false", &nlohmann::json::is_boolean); }

  /// From 1 to 2^20.
  int64_t number(const char *key) {
    const auto fits = [](const nlohmann::json &value) {
      return value.is_number_integer() && value >= 1 && value <= 1 << 20;
    };
    return std::max<int64_t>(1, read<int64_t>(key, "is no positive number, of 2^20 at most", fits));
  }

  /// Says what is wrong with the target as a whole, unless a key was wrong already.
  void require(bool holds, std::string_view otherwise) {
    if (!holds && problem.empty())
      problem = otherwise;
  }

  /// What is wrong first, after the path of the file.
  Status status(const std::filesystem::path &file) const {
    if (!problem.empty())
      return fail("{}: {}", file.string(), problem);
    return {};
  }

private:
  template <typename T, typename Fits> T read(const char *key, const char *misfit, const Fits &fits) {
    const std::string_view path = key;
    const size_t dot = path.find('.');
    const nlohmann::json *value = member(root, path.substr(0, dot));
    if (value && dot != path.npos)
      value = member(*value, path.substr(dot + 1));
    if (value && std::invoke(fits, *value))
      return value->get<T>();
    require(false, fmt::format("'{}' {}", key, value ? misfit : "is missing"));
    return T();
  }

  static const nlohmann::json *member(const nlohmann::json &object, std::string_view key) {
    const auto found = object.find(key); // none in what is no object
    return found == object.end() ? nullptr : &*found;
  }

  const nlohmann::json &root;
  std::string problem;
};

/// The targets of one kind in `directory`/targets, by rank.
template <typename T> Result<std::vector<T>> allTargets(const std::filesystem::path &directory, bool gpus) {
  std::error_code error;
  std::vector<T> targets;
  for (const auto &entry : std::filesystem::directory_iterator(directory / "targets", error))
    if (entry.path().extension() == ".json" && describesGPU(entry.path()) == gpus) {
      QUANTC_ASSIGN(T target, T::load(entry.path()));
      targets.push_back(std::move(target));
    }
  if (error)
    return fail("{}: cannot list targets: {}", (directory / "targets").string(), error.message());
  std::ranges::sort(targets, {}, [](const T &target) { return std::tie(target.rank, target.name); });
  return targets;
}

/// The target of that name; `kind` is what messages call it.
template <typename T>
Result<T> findTarget(std::string_view name, const std::filesystem::path &directory, std::string_view kind) {
  const auto file = directory / "targets" / (std::string(name) + ".json");
  std::error_code error;
  if (name.find('/') == name.npos && std::filesystem::exists(file, error))
    return T::load(file);
  QUANTC_ASSIGN(const std::vector<T> targets, T::all(directory));
  std::vector<std::string> names;
  std::ranges::transform(targets, std::back_inserter(names), &T::name);
  return fail("there is no {} '{}'; there are {}", kind, name, fmt::join(names, ", "));
}

} // namespace quantc
